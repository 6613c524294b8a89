"""Silences from the command line to the card, kept in Azurite."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from azure.data.tables import TableServiceClient, UpdateMode

from shared import app
from shared.silences import silence

from ..conftest import Azurite, Watch, day
from ..test_cli import shared
from .test_scan_settle import all_cards, texts

NOW = day("2026-08-20T06:00")


def due(azurite: Azurite, prefix: str = "due-") -> list[str]:
    return [row["RowKey"] for row in azurite.rows("findings") if row["RowKey"].startswith(prefix)]


def put(azurite: Azurite, row: dict) -> None:
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        service.get_table_client("findings").upsert_entity(row, mode=UpdateMode.REPLACE)


async def add(watch: Watch, until, **matcher) -> str:
    one = silence(since=NOW, until=until, by="ada", comment="known", **matcher)
    async with watch.clients() as clients:
        await app.add_silence(clients.tables, watch.azure.tenant.id, one)
    return one.id


@pytest.fixture
async def scanned(watch: Watch, azurite: Azurite) -> Watch:
    """A scan has found the cluster's warning; nobody was told yet."""
    watch.advance(NOW)
    await watch.scan(NOW)
    assert due(azurite)
    return watch


async def test_what_is_silenced_is_kept_and_counted_but_not_told_and_not_due(scanned: Watch, azurite: Azurite) -> None:
    await add(scanned, NOW + timedelta(days=10), rule="aks_service_principal_expiry")
    await scanned.settle(NOW)
    assert not scanned.azure.cards("shop")
    assert not due(azurite)
    assert len(due(azurite, "due.silence-")) == 1
    for hours in (6, 12):
        report = await scanned.run(NOW + timedelta(hours=hours))
    assert "aks_service_principal_expiry" in {one.rule for one in report.findings}
    assert not scanned.azure.cards("shop")
    assert not due(azurite)


async def test_its_end_is_told_once_though_no_scan_happens(scanned: Watch, azurite: Azurite) -> None:
    end = NOW + timedelta(days=1)
    await add(scanned, end, rule="aks_service_principal_expiry")
    await scanned.settle(NOW)
    await scanned.settle(end - timedelta(minutes=1))
    assert not scanned.azure.cards("shop")
    for minutes in range(4):
        await scanned.settle(end + timedelta(minutes=minutes))
    (post,) = scanned.azure.cards("shop")
    assert "its silence ended" in texts(post.body)
    assert not due(azurite)
    assert not due(azurite, "due.silence-")
    await scanned.run(end + timedelta(hours=6))
    assert len(scanned.azure.cards("shop")) == 1


async def test_a_refusing_channel_at_its_end_loses_nothing(scanned: Watch, azurite: Azurite) -> None:
    from simulator import Fault

    end = NOW + timedelta(days=1)
    await add(scanned, end, rule="aks_service_principal_expiry")
    await scanned.settle(NOW)
    scanned.azure.add(Fault(path="/workflows/", host="teams", status=500))
    await scanned.settle(end)
    assert due(azurite)
    scanned.azure.clear()
    await scanned.settle(end + timedelta(hours=2))
    assert len(scanned.azure.cards("shop")) == 1


async def test_ended_by_hand_it_is_told_at_the_next_tick(scanned: Watch, azurite: Azurite) -> None:
    silence_id = await add(scanned, NOW + timedelta(days=300), prefix=f"/subscriptions/{_subscription(scanned)}")
    await scanned.settle(NOW)
    moment = NOW + timedelta(hours=1)
    async with scanned.clients() as clients:
        assert await app.end_silence(clients.tables, scanned.azure.tenant.id, silence_id, moment)
        assert await app.end_silence(clients.tables, scanned.azure.tenant.id, silence_id, moment) is None
    await scanned.settle(moment + timedelta(minutes=1))
    assert len(scanned.azure.cards("shop")) == 1


def _subscription(watch: Watch) -> str:
    return watch.azure.tenant.subscription("Northwind Production").id


async def test_an_idle_tick_under_a_silence_writes_nothing(scanned: Watch, azurite: Azurite) -> None:
    await add(scanned, NOW + timedelta(days=10), rule="aks_service_principal_expiry")
    await scanned.settle(NOW)
    before = azurite.rows("findings"), azurite.rows("scans")
    await scanned.settle(NOW + timedelta(minutes=1))
    assert (azurite.rows("findings"), azurite.rows("scans")) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"prefix": "/", "rule": ""},
        {"prefix": "/subscriptions", "rule": ""},
        {"rule": ""},
        {"until": ""},
        {"until": "9999-12-31"},
        {"until": 7},
        {"since": "soon"},
        {"comment": ""},
        {"by": 5},
        {"rule": "*"},
        {"schema": 99},
    ],
)
async def test_a_silence_that_somebody_edited_mutes_nothing_and_stops_nothing(
    scanned: Watch, azurite: Azurite, changes: dict
) -> None:
    await add(scanned, NOW + timedelta(days=10), rule="aks_service_principal_expiry")
    row = next(row for row in azurite.rows("findings") if row["RowKey"].startswith("silence-"))
    row.pop("etag")
    put(azurite, row | changes)
    await scanned.settle(NOW)
    assert len(scanned.azure.cards("shop")) == 1
    await scanned.run(NOW + timedelta(hours=6))
    kept = next(row for row in azurite.rows("findings") if row["RowKey"].startswith("silence-"))
    assert {name: kept[name] for name in changes} == changes


async def test_foreign_rows_beside_the_findings_stop_nothing(scanned: Watch, azurite: Azurite) -> None:
    tenant = scanned.azure.tenant.id
    for name in (
        "silence-",
        "silence-x",
        "receiver-SHOP",
        "receiver-",
        "due.",
        "due.heartbeat",
        "due.silence-x",
        "zzz",
    ):
        put(azurite, {"PartitionKey": tenant, "RowKey": name, "at": "never", "tries": "many"})
    await scanned.settle(NOW)
    assert len(scanned.azure.cards("shop")) == 1
    await scanned.run(NOW + timedelta(hours=6))
    assert {"silence-x", "receiver-SHOP", "zzz"} <= {row["RowKey"] for row in azurite.rows("findings")}
    count = len(all_cards(scanned))
    await scanned.settle(NOW + timedelta(hours=6, minutes=1))
    assert len(all_cards(scanned)) == count


def test_from_the_command_line(watch: Watch, azurite: Azurite) -> None:
    now = "2026-08-20T06:00Z"
    watch.advance(NOW)
    early = shared(
        watch, "silence", "add", "--rule", "aks_service_principal_expiry", "--days", "3", "--comment", "x", "--now", now
    )
    assert early.returncode == 2
    assert shared(watch, "scan", "--now", now).returncode == 0
    done = shared(
        watch,
        *("silence", "add", "--rule", "aks_service_principal_expiry", "--days", "3", "--now", now),
        *("--comment", "=[x](https://evil.example)\n", "--by", "ada"),
    )
    assert done.returncode == 0, done.stderr
    assert "mutes 1 open finding now" in done.stdout
    listed = json.loads(shared(watch, "silence", "list", "--format", "json", "--now", now).stdout)
    assert [(one["status"], one["findings"], one["by"]) for one in listed] == [("active", 1, "ada")]
    table = shared(watch, "silence", "list", "--now", now).stdout
    assert "rule aks_service_principal_expiry" in table
    assert "of them silenced" not in table
    scanned = shared(watch, "scan", "--now", now)
    assert "2 of them silenced" in scanned.stderr  # with the end of the secret that it includes
    assert scanned.stdout.count("warning (silenced)") == 2
    assert "2 of them silenced" in shared(watch, "findings", "--now", now).stderr
    ended = shared(watch, "silence", "end", listed[0]["id"], "--now", "2026-08-21")
    assert ended.returncode == 0, ended.stderr
    assert shared(watch, "silence", "end", listed[0]["id"], "--now", "2026-08-21").returncode == 2
    assert shared(watch, "silence", "list", "--now", "2026-08-21", "--format", "json").stdout.strip() == "[]"
    every = shared(watch, "silence", "list", "--all", "--now", "2026-08-21", "--format", "json")
    assert [one["status"] for one in json.loads(every.stdout)] == ["ended"]


def test_a_finding_is_named_by_the_digits_that_the_tables_show(watch: Watch, azurite: Azurite) -> None:
    now = "2026-08-20T06:00Z"
    watch.advance(NOW)
    scanned = shared(watch, "scan", "--now", now)
    found = json.loads(shared(watch, "findings", "--format", "json").stdout)
    listed = shared(watch, "findings")
    for table in (scanned.stdout, listed.stdout):
        assert table.split()[0] == "FINGERPRINT"
        assert {line.split()[0] for line in table.splitlines()} >= {one["fingerprint"][:8] for one in found}
    digits, days = found[0]["fingerprint"][:8], ("--days", "3", "--comment", "x", "--by", "ada", "--now", now)
    done = shared(watch, "silence", "add", "--fingerprint", digits.upper(), *days)
    assert done.returncode == 0, done.stderr
    assert "mutes 1 open finding now" in done.stdout
    assert found[0]["fingerprint"] in shared(watch, "silence", "list", "--now", now).stdout
    assert found[0]["title"] in shared(watch, "findings", "--history", digits).stdout
    for command in (["silence", "add", *days, "--fingerprint"], ["findings", "--history"]):
        unknown = shared(watch, *command, "zz")
        assert unknown.returncode == 2
        assert "no stored finding" in unknown.stderr
    early = shared(watch, "silence", "add", "--fingerprint", "f" * 32, *days)
    assert early.returncode == 0, early.stderr
    assert "warning: no stored finding has that fingerprint" in early.stderr
    (row,) = [row for row in azurite.rows("findings") if row["RowKey"] == f"f-{found[0]['fingerprint']}"]
    row.pop("etag")
    put(azurite, row | {"RowKey": f"f-{found[0]['fingerprint'][:-1]}{'a' if digits[-1] != 'a' else 'b'}"})
    for command in (
        ["silence", "add", *days, "--fingerprint", digits],
        ["findings", "--history", digits],
        ["accept", digits, "--comment", "x", "--by", "ada"],
    ):
        both = shared(watch, *command)
        assert both.returncode == 2
        assert "2 findings begin with" in both.stderr
        assert both.stderr.count(found[0]["fingerprint"][:-1]) == 2


@pytest.mark.parametrize("days", ["0", "366", "400", "-1", "two", "9" * 5000])
def test_a_silence_of_too_many_days_is_told_in_a_sentence(watch: Watch, days: str) -> None:
    done = shared(watch, "silence", "add", "--rule", "x", f"--days={days}", "--comment", "x", "--by", "ada")
    assert done.returncode == 2
    assert done.stderr.endswith("argument --days: give 1 to 365\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--prefix", "/", "--days", "3", "--comment", "x"],
        ["--prefix", "/subscriptions", "--days", "3", "--comment", "x"],
        ["--rule", "no_such_rule", "--days", "3", "--comment", "x"],
        ["--rule", "aks_service_principal_expiry", "--days", "366", "--comment", "x"],
        ["--rule", "aks_service_principal_expiry", "--until", "2020-01-01", "--comment", "x"],
        ["--rule", "aks_service_principal_expiry", "--until", "2030-01-01", "--comment", "x"],
        ["--rule", "aks_service_principal_expiry", "--comment", "x"],
        ["--rule", "aks_service_principal_expiry", "--days", "3"],
        ["--days", "3", "--comment", "x"],
    ],
)
def test_what_may_not_be_silenced_is_wrong_usage(watch: Watch, arguments: list[str]) -> None:
    done = shared(watch, "silence", "add", *arguments, "--by", "ada", "--now", "2026-08-20")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_silence_has_an_author(watch: Watch) -> None:
    done = shared(
        watch,
        *("silence", "add", "--rule", "aks_service_principal_expiry", "--days", "3", "--comment", "x"),
        USER="",
        USERNAME="",
    )
    assert done.returncode == 2
    assert "--by" in done.stderr
