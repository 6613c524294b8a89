"""The rows beside the findings: silences, appointments of settle, and receivers that refuse.

A row of a newer version, or one that somebody edited beyond understanding, stops nothing and is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..model import Refusal
from ..silences import Silence, problem
from ..text import visible
from .values import SCHEMA, UNCLEAR, Row, cut, date_text, etag_of, moment, required, string

log = logging.getLogger(__name__)

SILENCE, APPOINTMENT, REFUSAL = "silence-", "due.", "receiver-"
"""How the RowKeys begin. `due.` lies beside `due-`, so that one range query finds both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """Something that settle has to do at a moment, other than telling of a finding."""

    name: str
    at: datetime | None = None
    """Not before this moment; None is at once."""
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What stands beside the findings in a tenant's partition."""

    silences: tuple[Silence, ...] = ()
    appointments: Mapping[str, Appointment] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    """By receiver."""


def others_of(rows: Iterable[Mapping[str, Any]]) -> Others:
    """The rows that are understood; of the others one warning each."""
    silences: list[Silence] = []
    appointments: dict[str, Appointment] = {}
    refusals: dict[str, Refusal] = {}
    for row in rows:
        name = str(row["RowKey"])
        if newer(row):
            continue
        try:
            if name.startswith(SILENCE):
                silences.append(silence_of(row))
            elif name.startswith(APPOINTMENT):
                appointment = appointment_of(row)
                appointments[appointment.name] = appointment
            elif name.startswith(REFUSAL):
                refusal = refusal_of(row)
                refusals[refusal.receiver] = refusal
        except UNCLEAR as error:
            log.warning("findings row %s counts for nothing: %s", visible(name), visible(str(error)))
    return Others(silences=tuple(silences), appointments=appointments, refusals=refusals)


def newer(row: Mapping[str, Any]) -> bool:
    """Whether a newer version of this program wrote a row: it is not ours to touch."""
    return isinstance(row.get("schema"), int) and row["schema"] > SCHEMA


def silence_row(tenant_id: str, silence: Silence) -> Row:
    """A silence as a row."""
    return {
        "PartitionKey": tenant_id,
        "RowKey": f"{SILENCE}{silence.id}",
        "schema": SCHEMA,
        "fingerprint": silence.fingerprint,
        "rule": silence.rule,
        "prefix": cut(silence.prefix),
        "since": date_text(silence.since),
        "until": date_text(silence.until),
        "by": silence.by,
        "comment": silence.comment,
    }


def silence_of(row: Mapping[str, Any]) -> Silence:
    """A row as a silence; raises one of UNCLEAR for one that may not be, such as one without an end."""
    found = Silence(
        id=str(row["RowKey"]).removeprefix(SILENCE),
        since=required(row["since"]),
        until=required(row["until"]),
        by=string(row["by"]),
        comment=string(row["comment"]),
        fingerprint=string(row.get("fingerprint", "")),
        rule=string(row.get("rule", "")),
        prefix=string(row.get("prefix", "")),
        etag=etag_of(row),
    )
    # One that was ended before it began mutes nothing, and may stay in the list.
    wrong = problem(found) if found.until > found.since else ""
    if wrong:
        raise ValueError(wrong)
    return found


def appointment_row(tenant_id: str, appointment: Appointment) -> Row:
    """An appointment as a row."""
    return {
        "PartitionKey": tenant_id,
        "RowKey": f"{APPOINTMENT}{appointment.name}",
        "schema": SCHEMA,
        "at": date_text(appointment.at),
        "tries": appointment.tries,
    }


def appointment_of(row: Mapping[str, Any]) -> Appointment:
    """A row as an appointment; one that was edited beyond understanding is at once."""
    try:
        at, tries = moment(row.get("at")), int(row.get("tries") or 0)
    except UNCLEAR:
        at, tries = None, 0
    return Appointment(name=str(row["RowKey"]).removeprefix(APPOINTMENT), at=at, tries=max(0, tries))


def refusal_row(tenant_id: str, refusal: Refusal) -> Row:
    """A refusing receiver as a row."""
    return {
        "PartitionKey": tenant_id,
        "RowKey": f"{REFUSAL}{refusal.receiver}",
        "schema": SCHEMA,
        "reason": cut(refusal.reason),
        "since": date_text(refusal.since),
    }


def refusal_of(row: Mapping[str, Any]) -> Refusal:
    """A row as a refusing receiver; raises one of UNCLEAR for a row that is none."""
    return Refusal(
        receiver=str(row["RowKey"]).removeprefix(REFUSAL), reason=string(row["reason"]), since=required(row["since"])
    )
