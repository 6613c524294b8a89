"""The table adapter against Azurite: a real table service, no stand-in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableServiceClient, UpdateMode

from shared.access import BaselineGrant, Caller
from shared.clients.baseline_rows import ClusterRow, cluster_of, cluster_row, grant_of, grant_row, key
from shared.clients.inbox_rows import InboxRow, inbox_of, inbox_row
from shared.clients.rows import Due, finding_of, finding_row
from shared.clients.storage import ConflictError, LeaseError, StorageError
from shared.clients.tables import AZURITE, Change, Tables
from shared.clients.values import SCHEMA, TEXT, cut
from shared.findings import Finding
from shared.model import Former
from shared.settings import SettingsError
from simulator import Fault
from simulator.azurite import Azurite

from ..builders import finding
from ..conftest import QUICK, Watch, day
from ..test_baseline import MG, ONE, TWO, row

NOW = day("2026-09-13T06:00")
TENANT = "00000000-0000-4000-8000-000000000001"


def tables(azurite: Azurite) -> Tables:
    return Tables(connection_string=azurite.connection_string, patience=QUICK)


def change(one: Finding, *, due: bool = False, was_due: bool = False) -> Change:
    row = Due(fingerprint=one.fingerprint)
    return Change(finding=one, due=row if due else None, was_due=row if was_due else None)


def edit(azurite: Azurite, table: str, row: dict[str, Any]) -> None:
    """Somebody edits a row by hand."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        service.get_table_client(table).upsert_entity(row, mode=UpdateMode.MERGE)


async def test_a_finding_comes_back_as_it_was_written(azurite: Azurite) -> None:
    one = finding(expires_on=NOW, facts={"a": "it's “quoted”", "list": ["x", "y"], "none": []})
    async with tables(azurite) as store:
        assert (await store.list_findings(TENANT)).findings == ()
        await store.save_findings(TENANT, [change(one, due=True)])
        stored = await store.list_findings(TENANT)
    assert stored.findings == (one,)
    assert list(stored.due) == [one.fingerprint]
    assert stored.findings[0].etag


async def test_more_findings_than_a_transaction_holds(azurite: Azurite) -> None:
    many = [finding(fingerprint=f"{number:032x}") for number in range(130)]
    async with tables(azurite) as store:
        saved = await store.save_findings(TENANT, [change(one, due=True) for one in many])
        assert len({one.etag for one in saved}) > 1
        stored = await store.list_findings(TENANT)
        assert len(stored.findings) == len(stored.due) == len(await store.list_due(TENANT)) == 130
        await store.save_findings(TENANT, [change(one, was_due=True) for one in saved])
        assert await store.list_due(TENANT) == []


async def test_a_row_that_changed_meanwhile_is_a_conflict(azurite: Azurite) -> None:
    async with tables(azurite) as store:
        (saved,) = await store.save_findings(TENANT, [change(finding())])
        await store.save_findings(TENANT, [change(saved)])
        with pytest.raises(ConflictError, match="changed meanwhile"):
            await store.save_findings(TENANT, [change(saved)])
        with pytest.raises(ConflictError):
            await store.save_findings(TENANT, [change(finding())])


@pytest.mark.parametrize(
    "edited",
    [
        {"facts": "not json"},
        {"facts": "[1]"},
        {"facts": '{"a": 1}'},
        {"severity": "dreadful"},
        {"status": 5},
        {"first_seen": ""},
        {"first_seen": "yesterday"},
        {"revision": "many"},
        {"announced": '[{"receiver": 1}]'},
        {"owners": "{}x"},
        {"includes": "7"},
    ],
)
async def test_an_edited_row_stops_nothing_and_is_replaced_when_the_problem_is_seen_again(
    watch: Watch, azurite: Azurite, edited: dict[str, Any]
) -> None:
    watch.advance(NOW)
    await watch.run(NOW)
    row = next(row for row in azurite.rows("findings") if row.get("rule") == "aks_service_principal_expiry")
    edit(azurite, "findings", {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"], **edited})
    await watch.run(NOW + timedelta(hours=6))
    after = next(one for one in azurite.rows("findings") if one["RowKey"] == row["RowKey"])
    assert finding_of(after).open
    assert after["title"] == row["title"]


async def test_a_row_of_a_newer_version_is_left_alone(watch: Watch, azurite: Azurite) -> None:
    watch.advance(NOW)
    await watch.run(NOW)
    row = next(row for row in azurite.rows("findings") if row.get("rule") == "aks_service_principal_expiry")
    keys = {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
    edit(azurite, "findings", {**keys, "schema": SCHEMA + 1, "title": "of another version"})
    before = next(one for one in azurite.rows("findings") if one["RowKey"] == row["RowKey"])
    await watch.run(NOW + timedelta(hours=6))
    assert next(one for one in azurite.rows("findings") if one["RowKey"] == row["RowKey"]) == before


async def test_an_orphaned_due_row_is_removed(watch: Watch, azurite: Azurite) -> None:
    await watch.run(NOW)
    partition = azurite.rows("findings")[0]["PartitionKey"]
    edit(azurite, "findings", {"PartitionKey": partition, "RowKey": "due-" + "0" * 32, "tries": "x", "not_before": 7})
    await watch.settle(NOW + timedelta(minutes=1))
    assert not [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]


async def test_runs_take_turns(azurite: Azurite) -> None:
    async with tables(azurite) as store:
        async with store.lease("first", NOW) as lease:
            lease.check()
            with pytest.raises(LeaseError, match="first is writing"):
                async with store.lease("second", NOW + timedelta(minutes=1)):
                    pytest.fail("two runs at the same time")
        async with store.lease("second", NOW):
            pass
        # A run that was killed keeps the lease until it ends; then the next one takes it, and the first notices.
        async with store.lease("stuck", NOW) as stuck, store.lease("next", NOW + timedelta(minutes=6)):
            with pytest.raises(LeaseError):
                await stuck._write(stuck._etag, NOW)


async def test_storage_that_is_away_is_said_and_nothing_is_lost(watch: Watch, azurite: Azurite) -> None:
    watch.advance(NOW)
    await watch.scan(NOW)
    before = azurite.rows("findings")
    azurite.stop()
    try:
        with pytest.raises(StorageError, match="storage cannot be reached"):
            await watch.settle(NOW)
        with pytest.raises(StorageError):
            await watch.scan(NOW)
    finally:
        azurite.start()
    assert azurite.rows("findings") == before
    assert (await watch.settle(NOW)).accepted > 0


async def test_a_crash_after_the_card_repeats_it_at_worst(watch: Watch, azurite: Azurite) -> None:
    watch.advance(NOW)
    await watch.scan(NOW)
    watch.azure.add(Fault(path="/workflows/", host="teams", reset="after"))
    assert (await watch.settle(NOW)).accepted == 0
    watch.azure.clear()
    assert (await watch.settle(NOW + timedelta(hours=2))).accepted > 0
    count = len(watch.azure.cards("shop"))
    await watch.settle(NOW + timedelta(hours=4))
    assert len(watch.azure.cards("shop")) == count


def test_a_text_too_long_is_cut_visibly() -> None:
    assert cut("x" * TEXT) == "x" * TEXT
    for text in ("x" * (TEXT + 1), "😀" * TEXT):
        assert cut(text).endswith("(cut)")
        assert len(cut(text).encode("utf-16-le")) <= 2 * TEXT
    assert len(str(finding_row(TENANT, finding(title="é" * 40_000))["title"])) <= TEXT


async def test_a_wrong_connection_string_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="AzureWebJobsStorage") as caught:
        Tables(connection_string="AccountName=x;Key=THE-KEY")
    assert "THE-KEY" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_the_development_storage_is_azurite() -> None:
    async with Tables(connection_string="UseDevelopmentStorage=true") as store:
        assert store._service.url == "http://127.0.0.1:10002/devstoreaccount1"
    assert "devstoreaccount1" in AZURITE


async def test_a_storage_account_is_reached_by_identity(watch: Watch) -> None:
    """Construction only: Azurite's tables know no tokens, and there is no Azure here."""
    from azure.identity.aio import ManagedIdentityCredential

    endpoint = "https://account.table.core.windows.net"
    async with (
        ManagedIdentityCredential(client_id=watch.env["AZURE_CLIENT_ID"]) as identity,
        Tables(endpoint=endpoint, credential=identity) as store,
    ):
        assert store._service.url == endpoint
        assert store._service.credential is identity


async def test_a_refusal_names_the_role(azurite: Azurite) -> None:
    wrong = azurite.connection_string.replace("Eby8vdM02xNOcqFlqUw", "AAAAAAAAAAAAAAAAAAA")
    async with Tables(connection_string=wrong, patience=QUICK) as store:
        with pytest.raises(StorageError, match="Storage Table Data Contributor") as caught:
            await store.list_findings(TENANT)
    assert isinstance(caught.value.__cause__, HttpResponseError)


LATER = NOW + timedelta(hours=6)
LONG = tuple(f"{number:08d}-0000-4000-8000-000000000000" for number in range(1100))
GRANTS = {
    "as a scan saw it": BaselineGrant(assignment=row(), first_seen=NOW),
    "at the root, with a condition": BaselineGrant(
        assignment=row(scope="/", condition="@a 'b' \"c\" d 😀", condition_version="2.0", principal_type=""),
        first_seen=NOW,
    ),
    "of a group, in many listings": BaselineGrant(
        assignment=row(scope=MG, listed_in=frozenset({ONE, TWO})), first_seen=NOW, via=("a", "b")
    ),
    "of a group that everybody is in": BaselineGrant(
        assignment=row(scope=MG, listed_in=frozenset(LONG)), first_seen=NOW, via=LONG
    ),
    "at a management group that a subscription has left": BaselineGrant(
        assignment=row(scope=MG, listed_in=frozenset({ONE})), first_seen=NOW, left=frozenset({TWO})
    ),
    "missed": BaselineGrant(assignment=row(), first_seen=NOW, deleted_at=LATER, deleted_after=NOW),
    "deleted by somebody": BaselineGrant(
        assignment=row(),
        first_seen=NOW,
        deleted_at=LATER,
        deleted_by=Caller(object_id="o", upn="ada@shop.example", confirmed=True),
    ),
    "deleted by nobody known": BaselineGrant(
        assignment=row(), first_seen=NOW, deleted_at=LATER, deleted_by=Caller(app_id="a")
    ),
}


@pytest.mark.parametrize("name", GRANTS)
async def test_a_grant_comes_back_as_it_was_written(azurite: Azurite, name: str) -> None:
    one = GRANTS[name]
    async with tables(azurite) as store:
        assert await store.list_grants() == {}
        assert await store.save_grants({}, {one.assignment.key: one}) == 1
        known = await store.list_grants()
        assert known == {one.assignment.key: one}
        assert await store.save_grants(known, known) == 0
    (stored,) = azurite.rows("baseline")
    assert (stored["PartitionKey"], stored["RowKey"]) == ("grant", key(one.assignment.id.upper()))


def test_a_grant_that_an_older_version_wrote_reaches_wherever_it_was_ever_listed() -> None:
    made = grant_row(GRANTS["at a management group that a subscription has left"])
    del made["left"]
    assert grant_of(made) == BaselineGrant(assignment=row(scope=MG, listed_in=frozenset({ONE, TWO})), first_seen=NOW), (
        "and an older version reads the rows of this one the same way"
    )


IDENTITY = f"/subscriptions/{ONE}/resourcegroups/workloads/providers/microsoft.managedidentity/userassignedidentities"
CLUSTERS = {
    "as it is made": ClusterRow(id="/c"),
    "on a service principal": ClusterRow(
        id="/c", client_id="4", known=True, principals=("p",), former=Former(client_id="4")
    ),
    "of three hundred workloads": ClusterRow(
        id="/c", principals=LONG[:300], identities=tuple(f"{IDENTITY}/checkout-{number}" for number in range(300))
    ),
}


@pytest.mark.parametrize("name", CLUSTERS)
async def test_a_cluster_comes_back_as_it_was_written_and_as_it_is_written_then(azurite: Azurite, name: str) -> None:
    async with tables(azurite) as store:
        for one in (CLUSTERS[name], CLUSTERS["on a service principal"], CLUSTERS[name]):
            await store.save_baseline([one], [])
            assert await store.list_clusters() == {key("/C"): one}


@pytest.mark.parametrize("edited", [{"principals": 7}, {"identities": True}, {"id": 1}, {"client_id": 1}])
async def test_an_edited_cluster_is_nothing(azurite: Azurite, edited: dict[str, Any]) -> None:
    async with tables(azurite) as store:
        await store.save_baseline([CLUSTERS["as it is made"]], [])
        edit(azurite, "baseline", {"PartitionKey": "cluster", "RowKey": key("/c"), **edited})
        assert await store.list_clusters() == {}


@pytest.mark.parametrize("length", [1, 36, TEXT // 2 - 1, TEXT // 2, TEXT - 1, TEXT, TEXT + 1])
def test_ids_of_any_length_fit_their_properties(length: int) -> None:
    ids = tuple(chr(97 + number) * length for number in range(9))
    made = cluster_row(ClusterRow(id="/c", principals=ids))
    assert max(len(text) for text in made.values() if isinstance(text, str)) <= TEXT
    assert cluster_of(made).principals == tuple(map(cut, ids))


async def test_five_hundred_grants_are_written_and_removed_in_a_few_transactions(
    watch: Watch, azurite: Azurite
) -> None:
    many = {one.key: BaselineGrant(assignment=one, first_seen=NOW) for one in (row(f"r{n}") for n in range(501))}
    kept = dict(list(many.items())[:1])
    async with tables(azurite) as store:
        sent = counted(store)
        assert await store.save_grants({}, many) == 501
        assert sent == [100, 100, 100, 100, 100, 1]
        assert await store.list_grants() == many
        sent.clear()
        assert await store.save_grants(many, kept) == 500
        assert sent == [100] * 5
        assert await store.list_grants() == kept


def counted(store: Tables) -> list[int]:
    """The sizes of the transactions that a store submits from now on."""
    sizes: list[int] = []
    submit = store._transaction

    async def count(table: str, operations: list[Any]) -> Any:
        sizes.append(len(operations))
        return await submit(table, operations)

    store._transaction = count  # type: ignore[method-assign]
    return sizes


async def test_a_restored_grant_keeps_nothing_of_its_loss(azurite: Azurite) -> None:
    lost, group = GRANTS["deleted by somebody"], GRANTS["of a group that everybody is in"]
    name = group.assignment.key
    fewer = BaselineGrant(assignment=row(scope=MG), first_seen=NOW, via=("a",))
    async with tables(azurite) as store:
        await store.save_grants({}, {lost.assignment.key: lost, name: group})
        known = await store.list_grants()
        after = {lost.assignment.key: GRANTS["as a scan saw it"], name: fewer}
        assert await store.save_grants(known, after) == 2
        assert await store.list_grants() == after


@pytest.mark.parametrize(
    "edited",
    [
        {"first_seen": ""},
        {"first_seen": "yesterday"},
        {"first_seen": 7},
        {"deleted_at": "soon"},
        {"deleted_by": "nobody"},
        {"deleted_by": "[]x"},
        {"deleted_by": '["only one"]'},
        {"deleted_by": "7"},
        {"principal_id": 5},
        {"scope": True},
        {"condition": 1.5},
        {"via": 7},
        {"listed_in": 7},
        {"left": 7},
    ],
)
async def test_an_edited_grant_is_nothing_and_hides_no_other(azurite: Azurite, edited: dict[str, Any]) -> None:
    one, other = row("a"), row("b")
    both = {each.key: BaselineGrant(assignment=each, first_seen=NOW) for each in (one, other)}
    async with tables(azurite) as store:
        await store.save_grants({}, both)
        edit(azurite, "baseline", {"PartitionKey": "grant", "RowKey": key(one.id), **edited})
        assert (await store.list_grants()).keys() == {other.key}
        # Seen again by a listing, it is put right.
        assert await store.save_grants({other.key: both[other.key]}, both) == 1
        assert await store.list_grants() == both


async def test_a_grant_of_a_newer_version_counts_and_is_left_as_it_is(azurite: Azurite) -> None:
    one, other = (BaselineGrant(assignment=each, first_seen=NOW) for each in (row("a"), row("b")))
    both = {each.assignment.key: each for each in (one, other)}
    async with tables(azurite) as store:
        await store.save_grants({}, both)
        newer = {"PartitionKey": "grant", "RowKey": key(one.assignment.id), "schema": SCHEMA + 1, "more": "of it"}
        edit(azurite, "baseline", newer)
        assert await store.list_grants() == both
        before = next(each for each in azurite.rows("baseline") if each.get("more"))
        lost = {name: replace(each, deleted_at=LATER) for name, each in both.items()}
        assert await store.save_grants(both, lost) == 1
        assert await store.save_grants(lost, {}) == 1
        assert azurite.rows("baseline") == [before]


async def test_rows_that_are_gone_already_are_no_error(azurite: Azurite) -> None:
    known = {one.key: BaselineGrant(assignment=one, first_seen=NOW) for one in (row(f"r{n}") for n in range(3))}
    names = [("grant", key(one.assignment.id)) for one in known.values()]
    async with tables(azurite) as store:
        await store.delete_rows("baseline", names)
        await store.save_grants({}, known)
        await store.delete_rows("baseline", [names[1], names[1], ("grant", "never"), ("other", "never")])
        assert len(await store.list_grants()) == 2
        await store.delete_rows("baseline", [*names, *names])
        assert await store.list_grants() == {}
        await store.delete_rows("baseline", [])


def waiting(number: int = 1, **changes: Any) -> InboxRow:
    return InboxRow(**{"key": f"{number:064x}", "event": {"id": str(number)}, "received": NOW, **changes})


async def test_an_event_is_kept_once_until_it_is_dealt_with(azurite: Azurite) -> None:
    async with tables(azurite) as store:
        assert await store.list_inbox() == []
        assert await store.add_event(waiting())
        assert not await store.add_event(waiting(event={"id": "another"}, received=LATER))
        assert await store.list_inbox() == [waiting()]
        assert (await store.list_inbox())[0].etag
        await store.close_events([waiting()], [])
        assert await store.list_inbox() == []
        await store.close_events([waiting()], [])
        assert await store.add_event(waiting()), "what comes after that is looked at again"


async def test_an_event_that_waits_counts_and_one_that_is_set_aside_waits_no_more(azurite: Azurite) -> None:
    async with tables(azurite) as store:
        for number in (1, 2, 3):
            await store.add_event(waiting(number))
        await store.close_events([waiting(1)], [waiting(2, tries=4), waiting(3, problem="it has no data")])
        assert await store.list_inbox() == [waiting(2, tries=4)]
        assert await store.list_inbox(aside=True) == [waiting(3, problem="it has no data")]
        await store.close_events([], [waiting(3, problem="it has no data")])
        assert len(await store.list_inbox(aside=True)) == 1


async def test_five_hundred_events_are_closed_in_a_few_transactions(azurite: Azurite) -> None:
    many = [waiting(number) for number in range(500)]
    async with tables(azurite) as store:
        await store.add_event(many[0])
        await store.close_events([], many)
        assert len(await store.list_inbox()) == 500
        sent = counted(store)
        await store.close_events(many[:250], many[250:])
        assert sent == [100, 100, 50, 100, 100, 50]
        assert len(await store.list_inbox()) == 250


@pytest.mark.parametrize("text", ["x" * 60_000, "😀" * 30_000, "\x00\x1f", "\ud800", "'\"\\", "\u202e"], ids=range(6))
async def test_whatever_stands_in_an_event_is_kept_and_never_refused(azurite: Azurite, text: str) -> None:
    async with tables(azurite) as store:
        assert await store.add_event(waiting(event={"id": "1", "subject": text}))
        (found,) = await store.list_inbox()
    assert found.event.get("subject", text) == text
    assert bool(found.event) is (len(text) < 100), "what does not fit is not understood, and is set aside"


def test_a_row_that_somebody_edited_is_an_empty_event() -> None:
    whole = {**inbox_row(waiting()), "RowKey": "k"}
    for changes in ({"event": 7}, {"event": "["}, {"received": ""}, {"received": "x"}, {"tries": "many"}):
        assert inbox_of({**whole, **changes}).event == {}
    assert inbox_of({**whole, "event": "[1]"}).event == {}
    assert grant_of(grant_row(GRANTS["missed"])) == GRANTS["missed"]
