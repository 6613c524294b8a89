"""The rows of the scans: the heartbeat, and what the next scan compares with (docs/design.md, Data)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .values import SCHEMA, Row, compact, date_text, fits, fitting, json_text, required, string

_REASONS = (200, 40, 0)
"""How much of each reason a scan's row keeps where there are many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRow:
    """A finished scan: the heartbeat, and what the next one compares with."""

    started: datetime
    finished: datetime
    tenant_id: str
    counts: Mapping[str, int]
    unread: Mapping[str, str]
    """Unread.key to what it says."""
    unnamed: int = 0
    """How many more were unread than the row has room to name."""
    partial: bool = False


def scan_row(scan: ScanRow) -> Row:
    """A finished scan as a row; reversed time makes the newest row the first."""
    unread = _unread(scan.unread)
    return {
        "PartitionKey": "scan",
        "RowKey": scan_key(scan.finished),
        "schema": SCHEMA,
        "started": date_text(scan.started),
        "finished": date_text(scan.finished),
        "tenant_id": scan.tenant_id,
        "counts": json_text(scan.counts),
        "unread": json_text(unread),
        "unnamed": scan.unnamed + len(scan.unread) - len(unread),
        "partial": scan.partial,
    }


def scan_key(finished: datetime) -> str:
    """The RowKey of a scan: the older it is, the greater."""
    return f"{int((datetime.max.replace(tzinfo=UTC) - finished).total_seconds() * 1000):017d}"


def scan_of(row: Mapping[str, Any]) -> ScanRow:
    """A row as a finished scan; raises one of UNCLEAR for a row that is none."""
    return ScanRow(
        started=required(row["started"]),
        finished=required(row["finished"]),
        tenant_id=string(row["tenant_id"]),
        counts={name: int(number) for name, number in json.loads(string(row["counts"])).items()},
        unread={name: string(text) for name, text in json.loads(string(row["unread"])).items()},
        unnamed=int(row.get("unnamed") or 0),
        partial=bool(row.get("partial")),
    )


def _unread(unread: Mapping[str, str]) -> Mapping[str, str]:
    """As many unread sources as fit a property, in the order of their names, with as much of their reasons as does."""
    for size in _REASONS:
        kept = {name: unread[name][:size] for name in sorted(unread)}
        if fits(compact(kept)):
            return kept
    return dict(fitting(list(kept.items())))
