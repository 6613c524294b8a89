"""Silences made and ended by a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ..clients.other_rows import Appointment, appointment_row, silence_row
from ..clients.tables import Tables
from ..silences import Silence
from .appointments import SILENCE


async def add_silence(tables: Tables, tenant_id: str, silence: Silence) -> None:
    """Keep a silence, together with the appointment that ends it."""
    end = Appointment(name=f"{SILENCE}{silence.id}", at=silence.until)
    await tables.save_rows("findings", [silence_row(tenant_id, silence), appointment_row(tenant_id, end)])


async def end_silence(tables: Tables, tenant_id: str, silence_id: str, now: datetime) -> Silence | None:
    """End a silence now; None if there is none of that id that lasts, the next settle tells what it muted."""
    silences = (await tables.list_findings(tenant_id)).others.silences
    found = next((one for one in silences if one.id == silence_id and one.until > now), None)
    if found:
        found = replace(found, until=now)
        await add_silence(tables, tenant_id, found)
    return found
