"""What settle does at a certain time, besides telling of findings: the weekly card, and the end of a silence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from .. import heartbeat
from ..alerts import FALLBACK
from ..card import Coverage
from ..clients.other_rows import APPOINTMENT, Appointment, appointment_row
from ..clients.tables import Stored, Tables
from ..clients.teams import DeliveryError
from ..settings import Settings
from . import receivers
from .connect import Clients

log = logging.getLogger(__name__)

HEARTBEAT = "heartbeat"
SILENCE = "silence-"
"""Names of appointments; that of a silence goes on with its id."""

_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(hours=1)


def backoff(tries: int, asked: float = 0) -> timedelta:
    """How long to wait after so many tries: longer and longer, or as long as the receiver asks for, in seconds."""
    wait = min(_FIRST_RETRY * (1 << min(max(tries, 0), 10)), _LAST_RETRY)
    return max(wait, min(timedelta(seconds=asked), _LAST_RETRY))


def postponed(appointment: Appointment, now: datetime, asked: float = 0) -> Appointment:
    """An appointment that could not be kept, tried again later."""
    return replace(appointment, at=now + backoff(appointment.tries, asked), tries=appointment.tries + 1)


async def plan_heartbeat(tables: Tables, tenant_id: str, stored: Stored, now: datetime) -> None:
    """See to it that the weekly card is planned, once; a date further away than any run puts it is somebody's edit.

    A week more is none: settle may have sent this week's card since the scan began.
    """
    planned = stored.others.appointments.get(HEARTBEAT)
    following = heartbeat.following(now)
    if planned is None or (planned.at and planned.at > following + heartbeat.WEEK):
        await tables.save_rows("findings", [appointment_row(tenant_id, Appointment(name=HEARTBEAT, at=following))])


async def beat(
    clients: Clients,
    settings: Settings,
    tenant_id: str,
    stored: Stored,
    coverage: Coverage,
    appointment: Appointment,
    now: datetime,
) -> bool | None:
    """Send the weekly card and plan the next one; whether it was accepted, None if there is nobody to send it to.

    Weeks that were missed are not made up for.
    """
    assert clients.tables
    following = Appointment(name=HEARTBEAT, at=heartbeat.following(now))
    receiver = settings.receivers.get(FALLBACK)
    accepted = None
    if receiver:
        beating = heartbeat.Heartbeat(
            coverage=coverage,
            tenant_id=tenant_id,
            findings=[one for one in stored.findings if one.open],
            silences=stored.others.silences,
        )
        try:
            await clients.teams.send(receiver, heartbeat.heartbeat_card(beating, now))
            accepted = True
            if FALLBACK in stored.others.refusals:
                await receivers.takes_cards(clients.tables, tenant_id, FALLBACK)
        except DeliveryError as error:
            log.warning("%s; the weekly card is tried again", error.reason)
            following = postponed(appointment, now, error.retry_after)
            accepted = False
            if error.permanent:
                await receivers.refuses_cards(clients.tables, tenant_id, stored, FALLBACK, error.reason, now)
    await clients.tables.save_rows("findings", [appointment_row(tenant_id, following)])
    return accepted


async def cross_out_silences(
    tables: Tables, tenant_id: str, stored: Stored, kept: Sequence[Appointment], now: datetime
) -> None:
    """Remove the appointments of silences that are over, and put off those whose silence was made longer by hand."""
    silences = {f"{SILENCE}{one.id}": one for one in stored.others.silences}
    over = []
    for one in kept:
        silence = silences.get(one.name)
        if silence and silence.active(now):
            longer = Appointment(name=one.name, at=silence.until)
            await tables.save_rows("findings", [appointment_row(tenant_id, longer)])
        elif one.name.startswith(SILENCE):
            over.append((tenant_id, f"{APPOINTMENT}{one.name}"))
    await tables.delete_rows("findings", over)
