"""Storage at its worst: rows that somebody edited, rows that do not fit, a lease that is lost, an account that is away."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from azure.data.tables import TableServiceClient, UpdateMode
from azure.identity.aio import ManagedIdentityCredential

from shared.app import connect
from shared.clients import storage
from shared.clients.http import Patience
from shared.clients.rows import finding_of
from shared.clients.scan_rows import scan_of
from shared.clients.storage import LeaseError, StorageError
from shared.clients.tables import Change, Tables
from shared.clients.values import TEXT
from shared.model import Owner
from shared.settings import SettingsError
from simulator import Fault, generate
from simulator.azurite import Azurite
from simulator.resources import managed_cluster
from simulator.server import CHUNKS

from ..builders import finding
from ..conftest import QUICK, Start, Watch, day

NOW = day("2026-09-13T06:00")
TENANT = "00000000-0000-4000-8000-000000000001"
BRIEF = Patience(attempts=1, connect=1, read=1, backoff=0.01, longest_wait=1, total=3)


def tables(azurite: Azurite) -> Tables:
    return Tables(connection_string=azurite.connection_string, patience=QUICK)


def edit(azurite: Azurite, table: str, row: dict[str, Any]) -> None:
    """Somebody edits a row by hand."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        service.create_table_if_not_exists(table)
        service.get_table_client(table).upsert_entity(row, mode=UpdateMode.MERGE)


# --- Rows ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"facts": "[" * 30_000}, id="facts that are nested deeply"),
        pytest.param({"owners": '[{"id":' * 4_000}, id="owners that are nested deeply"),
        pytest.param({"first_seen": "0001-01-01T00:00:00+14:00"}, id="a date before the year 1"),
        pytest.param({"expires_on": "9999-12-31T23:59:59-14:00"}, id="a date after the year 9999"),
        pytest.param(
            {"announced": '[{"receiver":"","reason":"NEW","severity":"info","when":"2026-01-01","tier":1e999}]'},
            id="a tier without end",
        ),
        pytest.param({"revision": "9" * 5000}, id="a number of 5,000 digits"),
    ],
)
async def test_no_edited_row_stops_a_run(watch: Watch, azurite: Azurite, edited: dict[str, Any]) -> None:
    await watch.run(NOW)
    row = next(row for row in azurite.rows("findings") if row.get("rule") == "aks_service_principal_expiry")
    edit(azurite, "findings", {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"], **edited})
    await watch.settle(NOW + timedelta(minutes=1))
    await watch.run(NOW + timedelta(hours=6))
    after = next(one for one in azurite.rows("findings") if one["RowKey"] == row["RowKey"])
    assert finding_of(after).open


@pytest.mark.parametrize(
    "edited",
    [
        {"counts": "[" * 30_000},
        {"counts": "[]"},
        {"counts": '{"applications": 1e999}'},
        {"unread": "7"},
        {"started": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_an_edited_heartbeat_stops_no_run(watch: Watch, azurite: Azurite, edited: dict[str, Any]) -> None:
    await watch.run(NOW)
    row = next(row for row in azurite.rows("scans") if row["PartitionKey"] == "scan")
    edit(azurite, "scans", {"PartitionKey": "scan", "RowKey": row["RowKey"], **edited})
    await watch.run(NOW + timedelta(hours=6))
    assert not [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]


@pytest.mark.parametrize("tries", [-3, -5000, 10**6, "many", 1.5, True])
@pytest.mark.parametrize("not_before", ["", "tomorrow", "0001-01-01T00:00:00+14:00"])
async def test_an_edited_due_row_still_means_that_there_is_something_to_say(
    azurite: Azurite, start: Start, tries: Any, not_before: str
) -> None:
    watch = start(generate(applications=3, expiring=1))
    now = watch.azure.now
    await watch.scan(now)
    row = next(row for row in azurite.rows("findings") if row["RowKey"].startswith("due-"))
    keys = {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
    edit(azurite, "findings", {**keys, "tries": tries, "not_before": not_before})
    watch.azure.add(Fault(path="/workflows/", host="teams", status=410, times=1))
    assert (await watch.settle(now)).refused == 1
    assert (await watch.settle(now + timedelta(hours=2))).accepted == 1


async def test_what_does_not_fit_a_property_is_cut_visibly(azurite: Azurite) -> None:
    many = tuple(Owner(object_id=f"{n:036d}", name="N" * 200, mail="m" * 100, source="application") for n in range(200))
    facts = {"reasons": [f"{number}: " + "r" * 100 for number in range(1000)], "text": "t" * 50_000, "short": "kept"}
    one = finding(owners=many, facts=facts, title="é" * 40_000, team_note="n" * 40_000)
    async with tables(azurite) as store:
        await store.save_findings(TENANT, [Change(finding=one, due=None)])
        (stored,) = (await store.list_findings(TENANT)).findings
    assert stored.facts["short"] == "kept"
    assert "… and " in stored.facts["reasons"][-1]
    assert stored.owners[0] == many[0]
    assert stored.owners[-1].name.startswith("… and ")
    assert stored.title.endswith("(cut)")
    assert all(len(value) <= TEXT for row in azurite.rows("findings") for value in row.values() if type(value) is str)


async def test_an_app_with_very_many_owners_stops_no_scan(start: Start, azurite: Azurite) -> None:
    watch = start(generate(applications=3, expiring=1))
    path = r"/owners\?"
    value = [{"id": f"{n:036d}", "displayName": "N" * 250, "userPrincipalName": "m" * 110} for n in range(100)]
    watch.azure.add(Fault(path=path, body=json.dumps({"value": value}).encode()))
    await watch.run(watch.azure.now)
    assert len(watch.azure.cards()) == 1
    await watch.run(watch.azure.now + timedelta(hours=6))
    assert len(watch.azure.cards()) == 1


async def test_a_text_that_is_no_unicode_stops_nothing(start: Start, azurite: Azurite) -> None:
    watch = start(generate(applications=2, clusters=1, on_service_principals=1))
    whole = managed_cluster(watch.azure.tenant.clusters[0], watch.azure.tenant.id)
    whole["tags"] = {"owner": "lone \ud800 surrogate", "team": "\udfff"}
    watch.azure.add(Fault(path="managedClusters", body=json.dumps({"value": [whole]}).encode()))
    report = await watch.run(watch.azure.now)
    assert not report.snapshot.unread
    assert azurite.rows("findings")


async def test_more_unread_subscriptions_than_a_row_names(start: Start, azurite: Azurite) -> None:
    """A tenant where nothing is readable is one finding, and the heartbeat is written."""
    watch = start(generate(applications=3, subscriptions=150))
    watch.azure.add(Fault(path="managedClusters", host="arm", status=403))
    report = await watch.run(watch.azure.now)
    assert len(report.snapshot.unread) == 150
    assert len([row for row in azurite.rows("scans") if row["PartitionKey"] == "scan"]) == 1


async def test_more_unread_sources_than_a_row_can_name_are_neither_forgotten_nor_told_anew(
    start: Start, azurite: Azurite
) -> None:
    watch = start(generate(applications=3, subscriptions=500))
    now = watch.azure.now
    watch.azure.add(Fault(path="managedClusters", host="arm", status=500))
    for hours in (0, 6, 12):
        await watch.run(now + timedelta(hours=hours))
    row = min((row for row in azurite.rows("scans") if row["PartitionKey"] == "scan"), key=lambda row: row["RowKey"])
    last = scan_of(row)
    assert last.unnamed > 0
    assert last.unnamed + len(last.unread) == 500
    assert all(len(value) <= TEXT for value in row.values() if type(value) is str)
    assert "and 495 more" in json.dumps(watch.azure.cards()[-1].body)
    blind = [row for row in azurite.rows("findings") if row.get("rule") == "scan_scope_unreadable"]
    assert {(row["status"], row["first_seen"]) for row in blind} == {("open", (now + timedelta(hours=6)).isoformat())}
    assert len(blind) == 500


# --- The lease ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"holder": "somebody", "until": "whenever"},
        {"holder": "somebody", "until": 5},
        {"holder": "somebody", "until": ""},
        {"holder": "", "until": "2026-09-13T06:04:00+00:00"},
        {"holder": "somebody", "until": "9999-12-31T00:00:00+00:00"},
        {},
    ],
)
async def test_an_edited_lease_stops_no_run(azurite: Azurite, row: dict[str, Any]) -> None:
    edit(azurite, "scans", {"PartitionKey": "lease", "RowKey": "watch", **row})
    async with tables(azurite) as store, store.lease("me", NOW) as lease:
        lease.check()
    (after,) = azurite.rows("scans")
    assert after["holder"] == ""


async def test_a_lease_is_renewed_while_the_run_goes_on(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_LEASE", timedelta(seconds=1))
    async with tables(azurite) as store, store.lease("me", NOW) as lease:
        (before,) = azurite.rows("scans")
        await asyncio.sleep(1.2)
        (after,) = azurite.rows("scans")
        assert after["until"] > before["until"]
        with pytest.raises(LeaseError, match="me is writing until"):
            async with store.lease("another", NOW + timedelta(seconds=1.2)):
                pytest.fail("two runs at the same time")
        lease.check()


async def test_a_run_that_lost_its_lease_stops_before_it_writes(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_LEASE", timedelta(seconds=0.6))
    async with tables(azurite) as store, store.lease("me", NOW) as lease:
        edit(azurite, "scans", {"PartitionKey": "lease", "RowKey": "watch", "holder": "another"})
        await asyncio.sleep(0.5)
        with pytest.raises(LeaseError, match="lost to another run"):
            lease.check()
    (row,) = azurite.rows("scans")
    assert row["holder"] == "another"


async def test_a_run_that_was_killed_holds_up_the_next_for_no_more_than_the_lease(azurite: Azurite) -> None:
    until = NOW + timedelta(minutes=5)
    edit(
        azurite,
        "scans",
        {"PartitionKey": "lease", "RowKey": "watch", "holder": "killed", "until": until.isoformat()},
    )
    async with tables(azurite) as store:
        with pytest.raises(LeaseError, match="killed is writing until 06:05:00 UTC"):
            async with store.lease("me", NOW + timedelta(minutes=4)):
                pytest.fail("two runs at the same time")
        async with store.lease("me", NOW + timedelta(minutes=6)) as lease:
            lease.check()


# --- An account that is away, or refuses -----------------------------------------------------------------------------------


async def test_storage_that_is_away_says_what_to_look_at(azurite: Azurite) -> None:
    closed = azurite.connection_string.replace(str(azurite.port), "1")
    async with Tables(connection_string=closed, patience=BRIEF) as store:
        with pytest.raises(StorageError) as caught:
            await store.list_findings(TENANT)
    assert "could not read findings: storage cannot be reached" in str(caught.value)
    assert "AzureWebJobsStorage" in str(caught.value)
    assert "TABLES_ENDPOINT" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "kind"),
    [("AAAA", StorageError), ("no base64 at all!", SettingsError), ("=", SettingsError), ("", SettingsError)],
)
async def test_a_wrong_key_is_never_repeated(azurite: Azurite, key: str, kind: type[Exception]) -> None:
    right = azurite.connection_string.partition("AccountKey=")[2].partition(";")[0]
    with pytest.raises(kind) as caught:
        async with Tables(connection_string=azurite.connection_string.replace(right, key), patience=BRIEF) as store:
            await store.list_findings(TENANT)
    assert "None" not in str(caught.value)
    error: BaseException | None = caught.value
    while error and len(key) > 1:
        assert key not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


async def test_an_identity_that_gets_no_token_is_told_so(start: Start) -> None:
    watch = start(generate(applications=1), storage=False)
    watch.azure.add(Fault(path="/msi/token", host="identity", status=400))
    async with ManagedIdentityCredential(client_id=watch.env["AZURE_CLIENT_ID"]) as identity:
        address = watch.env["ARM_ENDPOINT"]
        async with Tables(endpoint=address, credential=identity, patience=BRIEF) as store:
            with pytest.raises(StorageError, match="could not read findings: no token: ") as caught:
                await store.list_findings(TENANT)
    assert "\n" not in str(caught.value)


async def test_an_account_by_identity_asks_for_a_token_of_storage(start: Start) -> None:
    """Construction only: Azurite's tables know no tokens, and there is no storage account here."""
    watch = start(generate(applications=1), storage=False)
    watch.env["TABLES_ENDPOINT"] = "https://account.invalid"
    async with connect(watch.settings, patience=BRIEF) as clients:
        assert clients.tables
        with pytest.raises(StorageError, match="storage cannot be reached"):
            await clients.tables.list_findings(TENANT)
    asked = [unquote(one.target) for one in watch.azure.requests if one.host == "identity"]
    assert any("resource=https://storage.azure.com" in one for one in asked)


async def test_an_answer_that_trickles_for_ever_comes_to_an_end(start: Start) -> None:
    """Each read succeeds in time; only a total can end it."""
    watch = start(generate(applications=1), storage=False)
    watch.azure.add(Fault(path=".", host="arm", body=b"{" + b" " * 100_000, slow=0.5 * CHUNKS))
    watch.env["TABLES_ENDPOINT"] = watch.env["ARM_ENDPOINT"]
    async with connect(watch.settings, patience=BRIEF) as clients, asyncio.timeout(8):
        assert clients.tables
        with pytest.raises(StorageError, match="no answer in time"):
            await clients.tables.list_findings(TENANT)


async def test_a_redirect_is_not_followed(start: Start) -> None:
    stranger = start(generate(applications=1), storage=False)
    watch = start(generate(applications=1), storage=False)
    watch.azure.add(Fault(path=".", host="arm", redirect=stranger.env["ARM_ENDPOINT"]))
    watch.env["TABLES_ENDPOINT"] = watch.env["ARM_ENDPOINT"]
    async with connect(watch.settings, patience=BRIEF) as clients:
        assert clients.tables
        with pytest.raises(StorageError, match="HTTP 302"):
            await clients.tables.list_findings(TENANT)
    assert [one.status for one in watch.azure.requests if one.host == "arm"] == [302]
    assert stranger.azure.requests == []
