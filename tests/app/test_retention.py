"""What is old is forgotten; what is open, young, foreign or edited is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from azure.data.tables import TableServiceClient, UpdateMode

from shared import app
from shared.silences import silence

from ..conftest import Azurite, Watch, day

NOW = day("2026-03-01T06:00")


def put(azurite: Azurite, table: str, row: dict[str, Any]) -> None:
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        client = service.create_table_if_not_exists(table)
        client.upsert_entity(row, mode=UpdateMode.MERGE)


def names(azurite: Azurite, table: str, prefix: str = "") -> set[str]:
    return {row["RowKey"] for row in azurite.rows(table) if row["RowKey"].startswith(prefix)}


def closed(azurite: Azurite) -> dict[str, str]:
    return {row["RowKey"]: row["resolved_at"] for row in azurite.rows("findings") if row.get("resolved_at")}


async def test_resolved_findings_and_scans_go_after_the_retention(watch: Watch, azurite: Azurite) -> None:
    await watch.run(NOW)
    later = day("2026-06-03T06:00")
    watch.advance(later)
    await watch.run(later)
    over = closed(azurite)
    assert over
    foreign = next(iter(over))
    put(azurite, "findings", {"PartitionKey": watch.azure.tenant.id, "RowKey": foreign, "schema": 99})
    put(azurite, "scans", {"PartitionKey": "scan", "RowKey": "9" * 17, "finished": "edited"})
    put(azurite, "scans", {"PartitionKey": "scan", "RowKey": "8" * 17, "schema": 99})
    await watch.run(later + timedelta(days=180))
    assert over.keys() <= closed(azurite).keys()
    await watch.run(later + timedelta(days=180, minutes=1))
    left = names(azurite, "findings", "f-")
    assert foreign in left
    assert not (over.keys() - {foreign}) & left
    open_now = [row for row in azurite.rows("findings") if row.get("status") == "open"]
    assert open_now
    scans = [row for row in azurite.rows("scans") if row["PartitionKey"] == "scan"]
    assert {"9" * 17, "8" * 17} <= {row["RowKey"] for row in scans}
    assert min(row["started"] for row in scans if "started" in row) >= later.isoformat()


async def test_ended_silences_go_and_lasting_ones_stay(watch: Watch, azurite: Azurite) -> None:
    await watch.run(NOW)
    made = [
        silence(since=NOW, until=NOW + timedelta(days=days), by="ada", comment="x", rule="aks_service_principal_expiry")
        for days in (1, 300)
    ]
    async with watch.clients() as clients:
        assert clients.tables
        for one in made:
            await app.add_silence(clients.tables, watch.azure.tenant.id, one)
    await watch.run(NOW + timedelta(days=181))
    assert names(azurite, "findings", "silence-") == {f"silence-{one.id}" for one in made}
    await watch.run(NOW + timedelta(days=181, minutes=1))
    assert names(azurite, "findings", "silence-") == {f"silence-{made[1].id}"}


async def test_events_that_were_set_aside_go_but_not_those_of_a_newer_version(watch: Watch, azurite: Azurite) -> None:
    await watch.run(NOW)
    for name, schema in (("old", 1), ("newer", 99)):
        put(azurite, "inbox", {"PartitionKey": "aside", "RowKey": name, "schema": schema, "problem": "not understood"})
    put(azurite, "inbox", {"PartitionKey": "other", "RowKey": "foreign"})
    # The service dates rows itself, in real time.
    await watch.scan(day("2026-12-01"))
    assert {"old", "newer", "foreign"} <= names(azurite, "inbox")
    await watch.scan(day("2030-01-01"))
    assert names(azurite, "inbox") == {"newer", "foreign"}


async def test_a_longer_retention_keeps_longer(watch: Watch, azurite: Azurite) -> None:
    watch.env["RETENTION_DAYS"] = "365"
    await watch.run(NOW)
    later = day("2026-06-03T06:00")
    watch.advance(later)
    await watch.run(later)
    over = closed(azurite)
    await watch.run(later + timedelta(days=200))
    assert over.keys() <= closed(azurite).keys()
