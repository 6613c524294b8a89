"""What is forgotten: resolved findings, ended silences, events and scans older than RETENTION_DAYS."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from ..clients.other_rows import SILENCE, newer
from ..clients.scan_rows import scan_key, scan_of
from ..clients.storage import ConflictError
from ..clients.tables import Stored, Tables
from ..clients.values import UNCLEAR, Row
from ..findings import Finding

log = logging.getLogger(__name__)


async def prune(
    tables: Tables, tenant_id: str, stored: Stored, findings: Iterable[Finding], now: datetime, retention: timedelta
) -> int:
    """Delete what is old enough and was not changed since it was read; returns how many rows.

    Rows of a newer version, and those that somebody edited beyond understanding, are left alone.
    """
    before = now - retention
    old: list[Row] = [
        {"PartitionKey": tenant_id, "RowKey": f"f-{one.fingerprint}", "etag": one.etag}
        for one in findings
        if not one.open and not one.accepted and one.etag and one.resolved_at and one.resolved_at < before
        if one.fingerprint not in stored.due and one.fingerprint not in stored.foreign
    ]
    old += [
        {"PartitionKey": tenant_id, "RowKey": f"{SILENCE}{one.id}", "etag": one.etag}
        for one in stored.others.silences
        if one.until < before
    ]
    gone = await _delete(tables, "findings", old)
    scans = [
        row
        async for row in tables.list_rows("scans", "PartitionKey eq 'scan' and RowKey gt @key", key=scan_key(before))
    ]
    gone += await _delete(tables, "scans", [row for row in scans if _finished_before(row, before)])
    for kind in ("event", "aside"):
        # These are dated by the service: nothing in them can be trusted to be a date.
        events = tables.list_rows("inbox", "PartitionKey eq @kind and Timestamp lt @before", kind=kind, before=before)
        gone += await _delete(tables, "inbox", [row async for row in events if not newer(row)])
    if gone:
        log.info("%d rows older than %d days were removed", gone, retention.days)
    return gone


def _finished_before(row: Row, before: datetime) -> bool:
    try:
        return not newer(row) and scan_of(row).finished < before
    except UNCLEAR:
        return False


async def _delete(tables: Tables, table: str, rows: list[Row]) -> int:
    try:
        await tables.delete_unchanged(table, rows)
    except ConflictError:
        log.info("rows of %s changed meanwhile; the next scan prunes", table)
        return 0
    return len(rows)
