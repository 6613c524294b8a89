"""Receivers that refuse cards for good: remembered until they take one, so that a rule can report them."""

from __future__ import annotations

from datetime import datetime

from ..clients.other_rows import REFUSAL, refusal_row
from ..clients.tables import Stored, Tables
from ..model import Refusal
from ..settings import Settings


async def refuses_cards(
    tables: Tables, tenant_id: str, stored: Stored, receiver: str, reason: str, now: datetime
) -> None:
    """Remember that a receiver refused a card, since when, and why this time."""
    known = stored.others.refusals.get(receiver)
    refusal = Refusal(receiver=receiver, reason=reason, since=known.since if known else now)
    if refusal != known:
        await tables.save_rows("findings", [refusal_row(tenant_id, refusal)])


async def takes_cards(tables: Tables, tenant_id: str, receiver: str) -> None:
    """Forget what a receiver refused, since it took a card."""
    await tables.delete_rows("findings", [(tenant_id, f"{REFUSAL}{receiver}")])


def refusing(stored: Stored, settings: Settings) -> tuple[Refusal, ...]:
    """The receivers of these settings that refuse cards; one whose setting is gone is no problem any more."""
    return tuple(one for name, one in sorted(stored.others.refusals.items()) if name in settings.receivers)
