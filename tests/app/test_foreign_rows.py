"""Rows that somebody edited, or that another program wrote, stop no run, in whatever table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.data.tables import TableServiceClient, UpdateMode

from ..conftest import Azurite, Watch, day
from .test_scan_settle import all_cards

NOW = day("2026-09-13T06:00")
JUNK: dict[str, Any] = {
    "schema": "x",
    "id": 5,
    "until": "never",
    "finished": 1,
    "started": "?",
    "facts": "[",
    "received": 1,
}


def put(azurite: Azurite, table: str, partition: str, name: str, row: dict[str, Any]) -> None:
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        client = service.create_table_if_not_exists(table)
        client.upsert_entity({"PartitionKey": partition, "RowKey": name, **row}, mode=UpdateMode.REPLACE)


PLACES = [
    ("findings", "", "f-" + "0" * 32),
    ("findings", "", "due-" + "0" * 32),
    ("findings", "", "due.unknown"),
    ("findings", "", "anything"),
    ("baseline", "cluster", "junk"),
    ("baseline", "scope", "junk"),
    ("baseline", "grant", "junk"),
    ("baseline", "unknown", "junk"),
    ("scans", "scan", "0" * 17),
    ("scans", "scan", "zzz"),
    ("scans", "lease", "watch"),
    ("scans", "unknown", "junk"),
    ("inbox", "event", "junk"),
    ("inbox", "aside", "junk"),
    ("inbox", "unknown", "junk"),
]


@pytest.mark.parametrize("schema", [None, 99], ids=["junk", "of a newer version"])
@pytest.mark.parametrize(("table", "partition", "name"), PLACES, ids=["/".join(one) for one in PLACES])
async def test_a_foreign_row_stops_neither_scan_nor_settle(
    watch: Watch, azurite: Azurite, table: str, partition: str, name: str, schema: int | None
) -> None:
    watch.advance(NOW)
    await watch.run(NOW)
    row = JUNK | ({"schema": schema} if schema else {})
    put(azurite, table, partition or watch.azure.tenant.id, name, row)
    report = await watch.run(NOW + timedelta(hours=6))
    assert not report.snapshot.unread
    assert {one.rule for one in report.findings} >= {"aks_service_principal_expiry"}
    await watch.settle(NOW + timedelta(hours=6, minutes=1))
    told = [post for post in all_cards(watch) if post.at > NOW]
    # An event that was set aside is a finding of its own; nothing else is news.
    assert len(told) == (1 if partition == "aside" else 0)
