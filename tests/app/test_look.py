"""What settle makes of times, log entries and answers that do not fit: over HTTP, Azurite and the real clients."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.mgmt.monitor.aio.operations import ActivityLogsOperations

from shared import app
from shared.app.learn import TRIES
from shared.app.look import LOOKS, ROUNDS
from shared.clients.tables import Tables
from simulator import Fault
from simulator.access import Group, RoleAssignment
from simulator.azurite import Azurite
from simulator.entities import derived

from ..conftest import Watch, Wired, wired
from .test_drift import MORNING, PULL, REMOVED, TOMAS, begin, pulls, unassign
from .test_foreign_rows import put

INES = "Ines Novak"


def deletion(gone: RoleAssignment, at: str, name: str = "e1") -> dict[str, Any]:
    """An event that tells of a deletion at a time of anybody's choice."""
    return {
        "id": name,
        "eventType": "Microsoft.Resources.ResourceDeleteSuccess",
        "eventTime": at,
        "data": {"operationName": "Microsoft.Authorization/roleAssignments/delete", "resourceUri": gone.id},
    }


async def deliver(world: Wired, event: dict[str, Any]) -> None:
    assert world.clients.tables
    assert await app.role_changed(world.clients.tables, event, world.azure.now)


async def begin_with_a_spare(watch: Watch) -> tuple[RoleAssignment, RoleAssignment]:
    """As begin(); the pull of a kubelet, and a right of it that nothing rests on."""
    await begin(watch)
    pull = pulls(watch)
    spare = watch.azure.actions.assign(pull.principal_id, "Storage Blob Data Owner", pull.scope, TOMAS)
    await watch.run(MORNING)
    return pull, spare


def rebuild(watch: Watch, name: str) -> None:
    """Make a cluster anew, and give its new identities all that the old ones hold."""
    tenant, actions = watch.azure.tenant, watch.azure.actions
    cluster = tenant.cluster(name)
    control, kubelet = tenant.access.of([cluster.principal_id]), tenant.access.of([cluster.kubelet_object_id])
    actions.delete_cluster(cluster, TOMAS)
    actions.create_cluster(cluster, TOMAS)
    for holder, grants in ((cluster.principal_id, control), (cluster.kubelet_object_id, kubelet)):
        for one in grants:
            actions.assign(holder, one.role, one.scope, TOMAS)


def edit(azurite: Azurite, table: str, row: dict[str, Any], **changes: Any) -> None:
    put(azurite, table, row["PartitionKey"], row["RowKey"], {**row, **changes})


def grant_row(azurite: Azurite, gone: RoleAssignment) -> dict[str, Any]:
    return next(row for row in azurite.rows("baseline") if str(row.get("id", "")).lower() == gone.id.lower())


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-09-01T06:00:00Z"])
async def test_an_event_of_an_impossible_time_stops_nothing_and_dates_nothing(
    watch: Watch, azurite: Azurite, time: str
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite, subscriptions=()) as world:
        await deliver(world, deletion(gone, time))
        unassign(watch, gone)
        await world.minutes(1)
        assert world.findings()[PULL]["lost_at"] == MORNING.isoformat()
        await world.minutes(6)
        (text,) = world.told()
        assert "the activity log says so" in text
        assert azurite.rows("inbox") == []


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
async def test_a_baseline_whose_times_somebody_edited_stops_neither_scan_nor_settle(
    watch: Watch, azurite: Azurite, time: str
) -> None:
    await begin(watch)
    gone = pulls(watch)
    stage = watch.azure.tenant.cluster("web-stage")
    other = watch.azure.actions.assign(stage.kubelet_object_id, "Reader", stage.id.rpartition("/providers/")[0], TOMAS)
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        unassign(watch, other)
        await world.minutes(2)
        edit(azurite, "baseline", grant_row(azurite, other), deleted_at=time)
        unassign(watch, gone)
        await world.minutes(9)
        assert PULL in world.findings()
        assert any("can no longer pull" in text for text in world.told())
        report = await world.scan(MORNING + timedelta(hours=6))
        assert PULL in {one.rule for one in report.findings}


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The subscriptions of whose activity log the SDK makes what nobody foresaw."""
    subscriptions: set[str] = set()
    listing = ActivityLogsOperations.list

    def burst(self: Any, *given: Any, **named: Any) -> Any:
        if self._config.subscription_id in subscriptions:
            raise ZeroDivisionError("nobody foresaw this")
        return listing(self, *given, **named)

    monkeypatch.setattr(ActivityLogsOperations, "list", burst)
    return subscriptions


async def both(watch: Watch) -> tuple[RoleAssignment, RoleAssignment]:
    """A grant in each of two subscriptions, seen by a scan."""
    watch.advance(MORNING)
    stage = watch.azure.tenant.cluster("web-stage")
    watch.azure.now = MORNING
    other = watch.azure.actions.assign(stage.kubelet_object_id, "Reader", stage.id.rpartition("/providers/")[0], TOMAS)
    await watch.run(MORNING)
    return pulls(watch), other


async def test_what_nobody_foresaw_of_one_event_is_loud_and_set_aside_and_stops_no_other(
    watch: Watch, azurite: Azurite, odd: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    gone, other = await both(watch)
    odd.add(other.scope.split("/")[2])
    async with wired(watch, azurite) as world:
        unassign(watch, other)
        unassign(watch, gone)
        await world.minutes(7)
        (text,) = world.told()
        assert "can no longer pull images" in text
        assert "the activity log says so" in text
        assert any(one.exc_info and one.levelname == "ERROR" for one in caplog.records)
        (waiting,) = azurite.rows("inbox")
        assert (waiting["PartitionKey"], waiting["tries"]) == ("event", 7)
        await world.minutes(24)
        (aside,) = azurite.rows("inbox")
        assert (aside["PartitionKey"], aside["problem"]) == ("aside", "an unforeseen ZeroDivisionError")
        # What no event could tell, the scan finds by itself; it says what was set aside, too.
        report = await world.scan(MORNING + timedelta(hours=6))
        rules = {(one.rule, one.resource_name) for one in report.findings}
        assert {(REMOVED, "web-stage"), ("event_not_understood", "the tenant")} <= rules


async def test_a_loss_that_can_never_be_looked_at_is_told_as_not_confirmed(
    watch: Watch, azurite: Azurite, odd: set[str]
) -> None:
    gone, other = await both(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, other)
        await world.minutes(2)
        odd.add(other.scope.split("/")[2])
        unassign(watch, gone)
        await world.minutes(30)
        (text,) = world.told()
        assert "can no longer pull images" in text
        await world.minutes(8)
        told = [text for text in world.told("web") or world.told() if "web-stage" in text]
        assert "could not be asked for half an hour (an unforeseen ZeroDivisionError)" in "".join(told)


async def held_anew(watch: Watch) -> tuple[RoleAssignment, str]:
    """The kubelet's AcrPull, and a group it is not in that holds Reader on the same registry, seen by a scan."""
    watch.advance(MORNING)
    tenant = watch.azure.tenant
    readers = Group(id=derived(tenant.id, "group", "readers"), name="Readers")
    tenant.access.groups.append(readers)
    watch.azure.now = MORNING
    held = pulls(watch)
    reader = watch.azure.actions.assign(readers.id, "Reader", held.scope, TOMAS)
    await watch.run(MORNING)
    return held, reader.role


async def test_a_role_that_is_met_only_when_arm_is_asked_is_read(watch: Watch, azurite: Azurite) -> None:
    gone, _ = await held_anew(watch)
    async with wired(watch, azurite) as world:
        watch.azure.actions.join("Readers", gone.principal_id)
        unassign(watch, gone)
        await world.minutes(12)
        # Who may read a registry may pull from it.
        assert world.told() == []
        assert PULL not in world.findings()


async def test_what_stays_in_doubt_after_arm_was_asked_is_never_told_as_confirmed(
    watch: Watch, azurite: Azurite
) -> None:
    gone, role = await held_anew(watch)
    watch.azure.add(Fault(path=f"roleDefinitions/{role}", host="arm", status=403))
    async with wired(watch, azurite) as world:
        watch.azure.actions.join("Readers", gone.principal_id)
        unassign(watch, gone)
        await world.minutes(30)
        assert world.told() == []
        await world.minutes(7)
        (text,) = world.told()
        assert "can no longer pull images" in text
        assert "Not confirmed: Azure could not be asked for half an hour (HTTP 403" in text


def minute(number: float) -> str:
    return (MORNING + timedelta(minutes=number)).isoformat()


async def test_under_one_id_the_last_deletion_is_told_with_its_culprit_and_its_grace(
    watch: Watch, azurite: Azurite
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone, INES)
        await world.minutes(2)
        back = watch.azure.actions.restore(gone, INES, same_id=True)
        await world.minutes(1)
        unassign(watch, back, TOMAS)
        await world.minutes(4)
        assert world.told() == []
        await world.minutes(2)
        (text,) = world.told()
        assert "was deleted on Mon 12 Oct 2026, 06:03 UTC" in text
        assert "Deleted by tomas.berg@northwind-retail.example" in text
        assert "the activity log says so" in text
        assert "ines.novak" not in text


@pytest.mark.parametrize("confirmed", [False, True], ids=["told by its event", "confirmed by the log"])
async def test_a_loss_that_nobody_saw_come_back_gives_way_to_the_later_one(
    watch: Watch, azurite: Azurite, confirmed: bool
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone, INES)
        await world.minutes(2)
        if confirmed:
            await deliver(world, deletion(gone, minute(0), "again"))
        await world.minutes(1)
        assert world.findings()[PULL]["lost_at"] == minute(0)
        unassign(watch, watch.azure.actions.restore(gone, INES, same_id=True), TOMAS)
        await world.minutes(4)
        # The grace of the first is over, that of the loss is not.
        assert world.findings()[PULL]["lost_at"] == minute(3)
        assert world.told() == []
        await world.minutes(2)
        (text,) = world.told()
        assert "was deleted on Mon 12 Oct 2026, 06:03 UTC" in text
        assert "Deleted by tomas.berg@northwind-retail.example" in text
        assert "the activity log says so" in text


async def test_an_entry_from_before_the_assignment_was_seen_again_names_nobody(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite, subscriptions=()) as world:
        unassign(watch, gone, INES)
        watch.azure.actions.restore(gone, INES, same_id=True)
        await world.minutes(3)
        await world.scan(MORNING + timedelta(minutes=4))
        # The entry about Ines is there already, the one about Tomas comes too late.
        watch.azure.activity_lag = timedelta(minutes=9)
        unassign(watch, gone, TOMAS)
        await world.scan(MORNING + timedelta(minutes=6))
        await world.minutes(6)
        (text,) = world.told()
        assert "vanished after the scan of Mon 12 Oct 2026, 06:04 UTC" in text
        assert "ines.novak" not in text


async def test_an_earlier_deletion_by_somebody_else_is_not_this_one(watch: Watch, azurite: Azurite) -> None:
    """Ines deletes, a pipeline makes it anew under its id, Tomas deletes 90 s after her, and the log lags behind."""
    await begin(watch)
    gone = pulls(watch)
    watch.azure.activity_lag = timedelta(minutes=6)
    async with wired(watch, azurite) as world:
        unassign(watch, gone, INES)
        watch.azure.now = MORNING + timedelta(seconds=40)
        back = watch.azure.actions.restore(gone, INES, same_id=True)
        watch.azure.now = MORNING + timedelta(seconds=90)
        unassign(watch, back, TOMAS)
        watch.azure.now = MORNING + timedelta(minutes=1)
        await world.minutes(12)
        (text,) = world.told()
        assert "tomas.berg" in text
        assert "ines.novak" not in text


async def test_a_listing_that_falls_back_behind_what_was_known_closes_nothing(watch: Watch, azurite: Azurite) -> None:
    """ARM's replicas differ: the one that answers after the next event still shows the assignment."""
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone)
        await world.minutes(2)
        watch.azure.replica_lag = timedelta(minutes=5)
        scope = f"/subscriptions/{gone.scope.split('/')[2]}"
        watch.azure.actions.assign("8c5fa472-a37e-536f-bf2a-3b3ab13d9eac", "Reader", scope, TOMAS)
        await world.minutes(1)
        assert PULL in world.findings()
        await world.minutes(20)
        (text,) = world.told()
        assert "tomas.berg" in text


async def test_a_condition_on_many_lines_that_an_older_version_kept_is_the_one_that_is_held_again(
    watch: Watch, azurite: Azurite
) -> None:
    watch.advance(MORNING)
    watch.azure.now = MORNING
    condition = "(\n  @Resource[x:y] StringEquals 'a'\n)"
    group = pulls(watch).scope.rpartition("/providers/")[0]
    held = watch.azure.actions.assign(
        pulls(watch).principal_id, "Key Vault Secrets User", group, TOMAS, condition=condition
    )
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        unassign(watch, held)
        await world.minutes(8)
        assert REMOVED in world.findings()
        edit(azurite, "baseline", grant_row(azurite, held), condition=condition)
        watch.azure.actions.restore(held, TOMAS)
        await world.minutes(3)
        await world.scan(MORNING + timedelta(hours=6))
        assert REMOVED not in world.findings()


async def test_many_events_that_nobody_foresaw_hold_up_no_tick_and_no_other_loss(
    watch: Watch, azurite: Azurite, odd: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, other = await both(watch)
    stage = other.scope.split("/")[2]
    many = [
        watch.azure.actions.assign(other.principal_id, "Reader", f"/subscriptions/{stage}/resourceGroups/rg-{n}", TOMAS)
        for n in range(60)
    ]
    odd.add(stage)
    looks = 0
    listing = Tables.list_clusters

    async def counted(self: Tables) -> Any:
        nonlocal looks
        looks += 1
        return await listing(self)

    monkeypatch.setattr(Tables, "list_clusters", counted)
    async with wired(watch, azurite) as world:
        for one in many:
            unassign(watch, one)
        unassign(watch, gone)
        for _ in range(9):
            looks = 0
            await world.minutes(1)
            assert 1 <= looks <= LOOKS
        assert any("can no longer pull" in text for text in world.told())


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("arm", "managedClusters"),
        ("arm", "roleDefinitions"),
        ("arm", "registries"),
        ("arm", "roleAssignments"),
        ("graph", "transitiveMemberOf"),
    ],
)
async def test_a_deletion_that_could_not_be_looked_at_is_looked_at_again(
    watch: Watch, azurite: Azurite, host: str, path: str
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        watch.azure.add(Fault(path=path, host=host, status=503))
        unassign(watch, gone)
        await world.minutes(9)
        assert world.told() == []
        watch.azure.clear()
        await world.minutes(7)
        (text,) = world.told()
        assert "can no longer pull images" in text
        assert "was deleted on Mon 12 Oct 2026, 06:00 UTC" in text
        assert azurite.rows("inbox") == []


async def test_what_came_back_is_not_told_while_the_listing_that_would_say_so_fails(
    watch: Watch, azurite: Azurite
) -> None:
    pull, spare = await begin_with_a_spare(watch)
    async with wired(watch, azurite) as world:
        watch.azure.add(Fault(path="", host="arm", status=503))
        unassign(watch, pull)
        unassign(watch, spare)
        await world.minutes(2)
        watch.azure.clear()
        watch.azure.add(Fault(path="roleAssignments", host="arm", status=503))
        for one in (pull, spare):
            watch.azure.actions.restore(one, INES)
        for _ in range(7):
            await world.minutes(1)
            assert world.findings() == {}
        watch.azure.clear()
        await world.minutes(2)
        assert world.findings() == {}
        assert world.told() == []


@pytest.mark.parametrize("status", [403, 503])
async def test_an_event_does_not_wait_for_ever_and_not_at_all_where_azure_refuses(
    watch: Watch, azurite: Azurite, status: int
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        watch.azure.add(Fault(path="managedClusters", host="arm", status=status))
        unassign(watch, gone)
        await world.minutes(2)
        assert len(azurite.rows("inbox")) == (status == 503)
        await world.minutes(TRIES)
        assert azurite.rows("inbox") == []
        watch.azure.clear()
        await world.scan(MORNING + timedelta(hours=6))
        await world.minutes(7)
        (text,) = world.told()
        assert "Deleted by tomas.berg@northwind-retail.example" in text


@pytest.mark.parametrize("failing", [False, True])
async def test_new_identities_that_hold_all_that_the_old_ones_held_are_no_finding_though_no_scan_knows_them(
    watch: Watch, azurite: Azurite, failing: bool
) -> None:
    await begin(watch)
    async with wired(watch, azurite) as world:
        if failing:
            watch.azure.add(Fault(path="assignedTo", host="arm", status=503))
        rebuild(watch, "shop-prod")
        for _ in range(10):
            await world.minutes(1)
            assert world.findings() == {}
        watch.azure.clear()
        await world.minutes(3)
        assert world.findings() == {}
        # What they lose is told all the same, once a scan has seen that they held it.
        await world.scan(MORNING + timedelta(hours=6))
        unassign(watch, pulls(watch))
        await world.minutes(7)
        (text,) = world.told()
        assert "can no longer pull images" in text


@pytest.mark.parametrize("rounds", [ROUNDS, 1], ids=["as it is", "and is left open where that is too much"])
async def test_what_a_new_identity_holds_at_forty_scopes_is_asked_for_at_all_of_them(
    watch: Watch, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    monkeypatch.setattr("shared.app.look.ROUNDS", rounds)
    watch.advance(MORNING)
    cluster = watch.azure.tenant.cluster("shop-prod")
    subscription = f"/subscriptions/{cluster.id.split('/')[2]}"
    for number in range(40):
        watch.azure.actions.assign(cluster.principal_id, "Reader", f"{subscription}/resourceGroups/rg-{number}", TOMAS)
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        rebuild(watch, "shop-prod")
        for _ in range(8):
            await world.minutes(1)
            assert world.findings() == {}
        assert world.told() == []


async def test_both_identities_of_a_converted_cluster_are_asked_for(watch: Watch, azurite: Azurite) -> None:
    watch.advance(MORNING)
    tenant, actions = watch.azure.tenant, watch.azure.actions
    cluster = next(one for one in tenant.clusters if not one.managed)
    principal = tenant.service_principal(cluster.client_id).id
    group = cluster.id.rpartition("/providers/")[0]
    actions.assign(principal, "Reader", f"{group}-a", TOMAS)
    actions.assign(principal, "AcrPull", pulls(watch).scope, TOMAS)
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        tenant.convert(cluster, MORNING)
        actions.begin_update(cluster, TOMAS)
        actions.end_update(cluster)
        for one in tenant.access.of([principal]):
            pull = tenant.access.role(one.role).name == "AcrPull"
            actions.assign(cluster.kubelet_object_id if pull else cluster.principal_id, one.role, one.scope, TOMAS)
        for _ in range(8):
            await world.minutes(1)
            assert world.findings() == {}
        assert world.told() == []


@pytest.mark.parametrize("status", [403, 503])
async def test_a_grant_that_no_scan_saw_is_told_by_the_log_though_the_listing_fails(
    watch: Watch, azurite: Azurite, status: int
) -> None:
    await begin(watch)
    kubelet = watch.azure.tenant.cluster("shop-prod").kubelet_object_id
    group = pulls(watch).scope.rpartition("/providers/")[0]
    async with wired(watch, azurite, operations={"Microsoft.Authorization/roleAssignments/delete"}) as world:
        made = watch.azure.actions.assign(kubelet, "Key Vault Secrets User", group, TOMAS)
        await world.minutes(1)
        unassign(watch, made)
        await world.minutes(1)
        watch.azure.add(Fault(path="roleAssignments", host="arm", status=status))
        await world.minutes(TRIES + 2)
        watch.azure.clear()
        await world.scan(MORNING + timedelta(hours=6))
        assert REMOVED in world.findings()


async def test_what_is_accepted_while_its_event_waits_does_not_come_back(watch: Watch, azurite: Azurite) -> None:
    _, spare = await begin_with_a_spare(watch)
    async with wired(watch, azurite) as world:
        watch.azure.add(Fault(path="registries", host="arm", status=503))
        unassign(watch, spare)
        await world.minutes(8)
        fingerprint = world.findings()[REMOVED]["RowKey"].removeprefix("f-")
        assert len(azurite.rows("inbox")) == 1
        tables = world.clients.tables
        assert tables
        await app.accept(tables, watch.settings, watch.azure.tenant.id, fingerprint, "ada", "meant", watch.azure.now)
        await world.minutes(3)
        assert spare.id.lower() not in {str(row.get("id", "")).lower() for row in azurite.rows("baseline")}
        assert world.findings() == {}


async def test_where_azure_answers_nothing_other_cards_go_out_and_the_loss_is_told_later(
    watch: Watch, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        # What the last scan found is due again: the channel forgot that it was told.
        rows = [row for row in azurite.rows("findings") if row.get("rule") == "entra_credential_expiry"]
        (row,) = [one for one in rows if one["status"] == "open" and one["severity"] != "info"][:1]
        watch.azure.add(Fault(path="", host="arm", hang=True))
        monkeypatch.setattr("shared.app.look.PATIENCE", 1.0)
        edit(azurite, "findings", row, announced="[]")
        put(azurite, "findings", row["PartitionKey"], row["RowKey"].replace("f-", "due-"), {"schema": 1})
        before = len(watch.azure.cards())
        unassign(watch, gone)
        await world.minutes(1)
        assert "did not answer within 1 seconds" in caplog.text
        assert len(watch.azure.cards()) == before + 1
        assert world.findings() == {}
        monkeypatch.undo()
        watch.azure.clear()
        await world.minutes(8)
        (text,) = world.told()
        assert "can no longer pull images" in text
