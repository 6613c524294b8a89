"""The rows of the inbox: events that wait for settle, and those that were set aside (docs/design.md, Data)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .values import SCHEMA, UNCLEAR, Row, compact, cut, date_text, etag_of, required, string


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """An event as it was received, until settle has dealt with it."""

    key: str
    event: Mapping[str, Any]
    received: datetime
    tries: int = 0
    problem: str = ""
    """Why it was set aside; empty while it waits."""
    etag: str = field(default="", compare=False)


def inbox_row(row: InboxRow) -> Row:
    """An event of the inbox as a row; an event that does not fit is cut, and then not understood."""
    return {
        "PartitionKey": "aside" if row.problem else "event",
        "RowKey": row.key,
        "schema": SCHEMA,
        "event": cut(compact(row.event)),
        "received": date_text(row.received),
        "tries": row.tries,
        "problem": row.problem,
    }


def inbox_of(row: Mapping[str, Any]) -> InboxRow:
    """A row as an event of the inbox; one that somebody edited beyond understanding has an empty event."""
    try:
        event = json.loads(string(row["event"]))
        received, tries = required(row["received"]), int(row.get("tries") or 0)
    except UNCLEAR:
        event, received, tries = {}, datetime.fromtimestamp(0, UTC), 0
    return InboxRow(
        key=str(row["RowKey"]),
        event=event if isinstance(event, dict) else {},
        received=received,
        tries=tries,
        problem=str(row.get("problem") or ""),
        etag=etag_of(row),
    )
