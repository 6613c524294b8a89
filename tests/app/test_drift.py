"""From a deleted role assignment to the card, over HTTP, Azurite, the real clients: the event, the grace, the look."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from shared import app
from shared.clients.tables import Tables
from simulator import Fault, az
from simulator.access import ManagementGroup, RoleAssignment
from simulator.azurite import Azurite
from simulator.entities import Resource

from ..conftest import Watch, Wired, day, wired

MORNING = day("2026-10-12T06:00")
PULL, REMOVED, REPLACED = "aks_kubelet_cannot_pull", "role_assignment_deleted", "aks_identity_replaced"
JOIN, MANAGE = "aks_cluster_cannot_join_subnet", "aks_cluster_cannot_manage_node_group"
TOMAS = "Tomas Berg"
NODES = "MC_rg-shop-prod_shop-prod_westeurope"


class Loss(NamedTuple):
    """A grant of shop-prod on managed identities, and what the card says when it is gone."""

    role: str
    rule: str
    title: str
    fails: str

    def grant(self, watch: Watch) -> RoleAssignment:
        """The grant itself: no two of them give the same role."""
        return next(one for one in granted(watch) if watch.azure.tenant.access.role(one.role).name == self.role)


LOSSES = [
    pytest.param(
        Loss(
            "AcrPull",
            PULL,
            "Cluster shop-prod can no longer pull images from northwindretail.azurecr.io",
            "New pods cannot pull from northwindretail.azurecr.io",
        ),
        id="the kubelet's pull",
    ),
    pytest.param(
        Loss(
            "Network Contributor",
            JOIN,
            "Cluster shop-prod can no longer use its network snet-prod",
            "New nodes and load balancers cannot join the subnet",
        ),
        id="the cluster's subnet",
    ),
    pytest.param(
        Loss(
            "Contributor",
            MANAGE,
            f"Cluster shop-prod can no longer manage its nodes' resource group {NODES}",
            "disks do not attach",
        ),
        id="the cluster's node group",
    ),
]


def granted(watch: Watch, name: str = "shop-prod") -> list[RoleAssignment]:
    """All grants of both identities of a cluster."""
    cluster = watch.azure.tenant.cluster(name)
    return watch.azure.tenant.access.of([cluster.principal_id, cluster.kubelet_object_id])


def pulls(watch: Watch, name: str = "shop-prod") -> RoleAssignment:
    """The grant by which the kubelet of a cluster pulls, directly."""
    tenant = watch.azure.tenant
    kubelet = tenant.cluster(name).kubelet_object_id
    return next(one for one in tenant.access if one.principal_id == kubelet)


async def begin(watch: Watch) -> None:
    """The day before: everything is held, and one scan has seen it."""
    watch.advance(MORNING)
    await watch.run(MORNING)


def unassign(watch: Watch, gone: RoleAssignment, by: str = TOMAS) -> None:
    watch.azure.actions.unassign(gone.id, by)


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_card_after_the_grace_names_the_cluster_the_culprit_and_the_command(
    watch: Watch, azurite: Azurite, loss: Loss
) -> None:
    await begin(watch)
    gone = loss.grant(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone)
        await world.minutes(4)
        assert world.findings().keys() == {loss.rule, REMOVED}
        assert world.told() == []
        await world.minutes(2)
        (text,) = world.told()
        assert world.told("shop") == [text]
        assert loss.title in text
        assert "Deleted by tomas.berg@northwind-retail.example" in text
        assert "the activity log says so" in text
        assert loss.fails in text
        await world.minutes(5)
        assert len(world.told()) == 1
        # The command of the card, done by whoever is paged, restores exactly what was deleted.
        line = next(found for found in re.findall(r'"text": "(az role assignment create [^"]+)"', text))
        made = az.run(watch.azure, line, TOMAS)
        assert (made.principal_id, made.principal_type, made.role, made.scope, made.condition) == (
            gone.principal_id,
            gone.principal_type,
            gone.role,
            gone.scope,
            gone.condition,
        )
        await world.minutes(2)
        assert world.findings() == {}
        assert "✓" in json.dumps(watch.azure.cards()[-1].body, ensure_ascii=False)


async def test_while_the_log_lags_the_event_is_named_as_unconfirmed(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    watch.azure.activity_lag = timedelta(hours=1)
    async with wired(watch, azurite) as world:
        unassign(watch, pulls(watch))
        await world.minutes(6)
        (text,) = world.told()
        assert "Deleted by tomas.berg@northwind-retail.example" in text
        assert "according to the event, unconfirmed" in text


@pytest.mark.parametrize("loss", LOSSES)
async def test_what_is_restored_inside_the_grace_is_recorded_and_never_told(
    watch: Watch, azurite: Azurite, loss: Loss
) -> None:
    await begin(watch)
    gone = loss.grant(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone)
        await world.minutes(2)
        assert world.findings().keys() == {loss.rule, REMOVED}
        watch.azure.actions.restore(gone, TOMAS)
        await world.minutes(8)
        assert world.findings() == {}
        assert world.findings("resolved").keys() == {loss.rule, REMOVED}
        assert world.told() == []


async def test_a_twelve_minute_update_that_makes_everything_anew_is_no_news(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    cluster = watch.azure.tenant.cluster("shop-prod")
    grants = granted(watch)
    assert len(grants) == len(LOSSES)
    async with wired(watch, azurite) as world:
        watch.azure.actions.begin_update(cluster, TOMAS)
        for one in grants:
            unassign(watch, one)
        await world.minutes(12)
        assert world.findings().keys() == {PULL, JOIN, MANAGE, REMOVED}
        for one in grants:
            watch.azure.actions.restore(one, TOMAS)
        watch.azure.actions.end_update(cluster)
        await world.minutes(5)
        assert world.findings() == {}
        assert world.told() == []


async def test_an_update_that_does_not_end_is_told_after_an_hour(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    async with wired(watch, azurite) as world:
        watch.azure.actions.begin_update(watch.azure.tenant.cluster("shop-prod"), TOMAS)
        unassign(watch, pulls(watch))
        await world.minutes(58)
        assert world.told() == []
        await world.minutes(4)
        assert len(world.told()) == 1


async def test_a_listing_that_lags_behind_the_event_hides_nothing(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    watch.azure.replica_lag = timedelta(minutes=3)
    async with wired(watch, azurite) as world:
        unassign(watch, pulls(watch))
        await world.minutes(2)
        assert world.findings() == {}
        await world.minutes(10)
        assert world.findings().keys() == {PULL, REMOVED}
        assert len(world.told()) == 1


async def test_an_assignment_made_and_deleted_between_two_scans_is_known_from_the_log(
    watch: Watch, azurite: Azurite
) -> None:
    await begin(watch)
    kubelet = watch.azure.tenant.cluster("shop-prod").kubelet_object_id
    async with wired(watch, azurite, operations={"Microsoft.Authorization/roleAssignments/delete"}) as world:
        made = watch.azure.actions.assign(
            kubelet, "Key Vault Secrets User", pulls(watch).scope.rpartition("/providers/")[0], TOMAS
        )
        await world.minutes(1)
        unassign(watch, made)
        await world.minutes(1)
        assert world.findings() == {}
        await world.minutes(8)
        assert world.findings().keys() == {REMOVED}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"duplicates": 3}, id="every event four times"),
        pytest.param({"shuffle": 7}, id="in another order"),
        pytest.param({"delay": timedelta(minutes=2)}, id="late"),
        pytest.param({"schema": "CloudEventSchemaV1_0"}, id="as CloudEvents"),
    ],
)
async def test_however_events_come_there_is_one_finding_and_one_card(
    watch: Watch, azurite: Azurite, options: dict[str, Any]
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite, **options) as world:
        for _ in range(2):
            unassign(watch, gone)
            gone = watch.azure.actions.restore(gone, TOMAS)
        unassign(watch, gone)
        await world.minutes(9)
        assert len(world.told()) == 1
        assert world.findings().keys() == {PULL, REMOVED}
        assert azurite.rows("inbox") == []


async def test_before_the_first_scan_an_event_waits(watch: Watch, azurite: Azurite) -> None:
    watch.advance(MORNING)
    watch.azure.now = MORNING
    async with wired(watch, azurite) as world:
        unassign(watch, pulls(watch))
        await world.minutes(2)
        assert len(azurite.rows("inbox")) == 1
        report = await world.scan(MORNING + timedelta(minutes=10))
        assert "event_not_understood" not in {one.rule for one in report.findings}
        await world.minutes(40)
        # No scan ever saw it held, but the log says whose it was: that proves it.
        assert world.findings().keys() == {PULL, REMOVED}
        assert len(world.told()) == 1
        assert azurite.rows("inbox") == []


async def test_a_stranger_and_a_riddle_stop_nothing(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    async with wired(watch, azurite) as world:
        stranger = {
            "id": "1",
            "eventType": "Microsoft.Resources.ResourceDeleteSuccess",
            "data": {
                "operationName": "Microsoft.Authorization/roleAssignments/delete",
                "resourceUri": "/subscriptions/99999999-9999-4999-8999-999999999999/providers/"
                "Microsoft.Authorization/roleAssignments/1",
            },
        }
        riddle = {"id": "2", "eventType": "Microsoft.Resources.ResourceDeleteSuccess", "data": "{"}
        async with watch.clients() as clients:
            assert clients.tables
            for one in (stranger, riddle):
                assert await app.role_changed(clients.tables, one, watch.azure.now)
        unassign(watch, pulls(watch))
        await world.minutes(7)
        assert len(world.told()) == 1
        (aside,) = azurite.rows("inbox")
        assert (aside["PartitionKey"], aside["problem"]) == ("aside", "it has no data")
        report = await world.scan(watch.azure.now + timedelta(minutes=1))
        assert "event_not_understood" in {one.rule for one in report.findings}


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 503}, {"reset": "before"}])
async def test_assignments_that_cannot_be_read_are_not_missing(
    watch: Watch, azurite: Azurite, fault: dict[str, Any]
) -> None:
    await begin(watch)
    gone = pulls(watch)
    subscription = gone.scope.split("/")[2]
    async with wired(watch, azurite) as world:
        fault_on = watch.azure.add(Fault(path=f"{subscription}.*roleAssignments", host="arm", **fault))
        watch.azure.actions.assign(gone.principal_id, "Reader", gone.scope, TOMAS)
        await world.minutes(2)
        report = await world.scan(MORNING + timedelta(hours=6))
        assert not {PULL, REMOVED} & {one.rule for one in report.findings}
        assert any(one.kind.__name__ == "RoleAssignment" for one in report.snapshot.unread)
        assert world.told() == []
        assert fault_on


async def test_a_look_that_fails_for_half_an_hour_is_told_as_not_confirmed(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone)
        await world.minutes(2)
        watch.azure.add(Fault(path="roleAssignments", host="arm", status=403))
        await world.minutes(25)
        assert world.told() == []
        await world.minutes(12)
        (text,) = world.told()
        assert "Not confirmed: Azure could not be asked for half an hour (HTTP 403" in text


async def lost_unheard(world: Wired, at: datetime) -> str:
    """Scan after something went without an event, let the grace pass, and give the card."""
    await world.scan(at)
    await world.minutes(7)
    (text,) = world.told()
    return text


@pytest.mark.parametrize("log", [True, False], ids=["and the log says who it was", "and the log cannot be read"])
async def test_what_no_event_tells_the_next_scan_says_with_the_scan_that_still_saw_it(
    watch: Watch, azurite: Azurite, log: bool
) -> None:
    await begin(watch)
    async with wired(watch, azurite, subscriptions=()) as world:
        unassign(watch, pulls(watch))
        if not log:
            watch.azure.add(Fault(path="eventtypes", host="arm", status=403))
        text = await lost_unheard(world, MORNING + timedelta(hours=6))
        if log:
            assert "was deleted on Mon 12 Oct 2026, 06:00 UTC" in text
            assert "Deleted by tomas.berg@northwind-retail.example" in text
        else:
            assert "vanished after the scan of Mon 12 Oct 2026, 06:00 UTC" in text
            assert "Who deleted it is not known" in text
        for hours in (12, 18, 24):
            await world.scan(MORNING + timedelta(hours=hours))
            assert world.findings().keys() == {PULL, REMOVED}
        assert len(world.told()) == 1


async def test_a_grant_at_a_management_group_is_missed_by_the_scan(watch: Watch, azurite: Azurite) -> None:
    watch.advance(MORNING)
    direct = pulls(watch)
    wide = watch.azure.actions.assign(
        direct.principal_id, "AcrPull", "/providers/Microsoft.Management/managementGroups/northwind", TOMAS
    )
    watch.azure.tenant.access.remove(direct.id)
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        unassign(watch, wide)
        await world.minutes(3)
        assert world.findings() == {}
        text = await lost_unheard(world, MORNING + timedelta(hours=6))
        assert "can no longer pull images from northwindretail.azurecr.io" in text
        assert "Who deleted it is not known: no event told of it." in text


async def test_a_subscription_that_was_moved_out_of_its_management_group_is_told_once(
    watch: Watch, azurite: Azurite
) -> None:
    watch.advance(MORNING)
    watch.azure.now = MORNING
    tenant, direct = watch.azure.tenant, pulls(watch)
    group = tenant.access.management_groups[0]
    watch.azure.actions.assign(direct.principal_id, "AcrPull", group.id, TOMAS)
    tenant.access.remove(direct.id)
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        group.subscriptions.remove(tenant.subscription("Northwind Production").id)
        tenant.access.version += 1
        for hours in (6, 12, 18):
            await world.scan(MORNING + timedelta(hours=hours))
            await world.minutes(20)
            assert {name: row["variant"] for name, row in world.findings().items()} == {PULL: "moved"}
            assert len(world.told()) == 1
        group.subscriptions.append(tenant.subscription("Northwind Production").id)
        tenant.access.version += 1
        await world.scan(MORNING + timedelta(hours=24))
        assert world.findings() == {}


async def test_what_a_management_group_gives_in_one_subscription_is_held_in_no_other(
    watch: Watch, azurite: Azurite
) -> None:
    watch.advance(MORNING)
    watch.azure.now = MORNING
    tenant, held = watch.azure.tenant, pulls(watch)
    staging = tenant.subscription("Northwind Staging").id
    tenant.access.management_groups[0].subscriptions.remove(staging)
    tenant.access.management_groups.append(ManagementGroup(name="staging", subscriptions=[staging]))
    group = "/providers/Microsoft.Management/managementGroups/staging"
    watch.azure.actions.assign(held.principal_id, "Reader", group, TOMAS)
    vault = watch.azure.actions.assign(
        held.principal_id, "Key Vault Secrets User", f"/subscriptions/{staging}/resourceGroups/rg-web-stage", TOMAS
    )
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        unassign(watch, held)
        unassign(watch, vault)
        await world.minutes(12)
        # Asked about the vault, ARM names the Reader of Staging, which would pull, too, but not in Production.
        assert world.findings().keys() == {PULL, REMOVED}
        (text,) = world.told()
        assert "Cluster shop-prod can no longer pull images from northwindretail.azurecr.io" in text
        await world.scan(MORNING + timedelta(hours=6))
        assert world.findings().keys() == {PULL, REMOVED}


async def test_what_a_new_management_group_gives_at_the_scope_itself_is_held(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    held = pulls(watch)
    async with wired(watch, azurite) as world:
        group = "/providers/Microsoft.Management/managementGroups/northwind"
        watch.azure.actions.assign(held.principal_id, "AcrPull", group, TOMAS)
        unassign(watch, held)
        await world.minutes(12)
        assert world.findings() == {}
        assert world.told() == []


async def test_a_registry_that_is_deleted_takes_its_grants_along_and_is_no_loss(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    registry = pulls(watch).scope
    async with wired(watch, azurite) as world:
        watch.azure.actions.delete_scope(registry, TOMAS)
        await world.scan(MORNING + timedelta(hours=6))
        await world.minutes(7)
        await world.scan(MORNING + timedelta(hours=12))
        assert world.findings() == {}
        assert world.told() == []


@pytest.mark.parametrize(
    ("deleted", "refused"),
    [(True, False), (True, True), (False, False)],
    ids=["it is gone", "it is gone and may not be asked about", "it is still there"],
)
async def test_a_resource_of_a_type_that_nobody_foresaw_takes_its_grants_along(
    watch: Watch, azurite: Azurite, caplog: pytest.LogCaptureFixture, deleted: bool, refused: bool
) -> None:
    watch.advance(MORNING)
    cluster = watch.azure.tenant.cluster("shop-prod")
    bus = Resource(
        subscription_id=cluster.subscription_id, group=cluster.group, type="Microsoft.ServiceBus/namespaces", name="bus"
    )
    watch.azure.tenant.resources.append(bus)
    held = watch.azure.actions.assign(cluster.kubelet_object_id, "Reader", bus.id, TOMAS)
    await begin(watch)
    async with wired(watch, azurite, subscriptions=()) as world:
        if refused:
            watch.azure.add(Fault(path="/namespaces/bus", host="arm", status=403))
        if deleted:
            watch.azure.actions.delete_scope(bus.id, TOMAS)
        else:
            unassign(watch, held)
        for hours in (6, 12):
            await world.scan(MORNING + timedelta(hours=hours))
            await world.minutes(7)
        if deleted and not refused:
            assert world.findings() == {}
            assert world.told() == world.told("shop") == []
            return
        assert world.findings().keys() == {REMOVED}
        (text,) = world.told("shop")
        assert "lost role Reader on bus" in text
        unread = f"Whether {bus.id} still exists could not be read: HTTP 403 AuthorizationFailed."
        assert (unread in text) is refused
        assert ("python -m shared accept, with the fingerprint" in text.partition("still exists")[2]) is refused
        assert ("whether scopes still exist could not be read: 1, the first" in caplog.text) is refused


async def test_a_scan_that_read_before_the_event_does_not_undo_it(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone)
        await world.minutes(3)
        assert world.findings().keys() == {PULL, REMOVED}
        # A scan that began before the deletion and whose listing still holds it ends only now.
        watch.azure.tenant.access.put(gone)
        began = MORNING - timedelta(seconds=1)
        async with watch.clients() as clients:
            await app.scan(clients, watch.settings, began)
        watch.azure.tenant.access.remove(gone.id)
        assert world.findings().keys() == {PULL, REMOVED}
        await world.minutes(4)
        assert len(world.told()) == 1


async def test_a_deleted_identity_is_told_within_minutes(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    tenant = watch.azure.tenant
    kubelet = next(
        one for one in tenant.identities if one.principal_id == tenant.cluster("shop-prod").kubelet_object_id
    )
    async with wired(watch, azurite) as world:
        watch.azure.actions.delete_identity(kubelet, TOMAS)
        await world.minutes(2)
        assert "aks_identity_missing" in world.findings()
        texts = [json.dumps(post.body) for post in watch.azure.cards()]
        assert any("shop-prod-agentpool of cluster shop-prod is gone" in text for text in texts)


async def test_a_deleted_cluster_takes_its_findings_along(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, pulls(watch))
        await world.minutes(2)
        assert PULL in world.findings()
        watch.azure.actions.delete_cluster(watch.azure.tenant.cluster("shop-prod"), TOMAS)
        await world.minutes(8)
        assert world.findings() == {}
        assert world.told() == []


@pytest.mark.parametrize("gone", [False, True], ids=["after it was rebuilt", "before it is rebuilt"])
async def test_a_rebuilt_cluster_is_owed_what_the_old_one_held_though_nothing_is_left_of_that(
    watch: Watch, azurite: Azurite, gone: bool
) -> None:
    await begin(watch)
    cluster, actions = watch.azure.tenant.cluster("shop-prod"), watch.azure.actions
    old = {cluster.principal_id, cluster.kubelet_object_id}
    orphans = [one for one in watch.azure.tenant.access if one.principal_id in old]
    pull = pulls(watch)
    async with wired(watch, azurite) as world:
        actions.delete_cluster(cluster, TOMAS)
        if not gone:
            actions.create_cluster(cluster, TOMAS)
            await world.scan(MORNING + timedelta(hours=6))
            await world.minutes(10)
            actions.assign(cluster.kubelet_object_id, "AcrPull", pull.scope, TOMAS)
        for one in orphans:
            unassign(watch, one)
        await world.minutes(10)
        if gone:
            actions.create_cluster(cluster, TOMAS)
            actions.assign(cluster.kubelet_object_id, "AcrPull", pull.scope, TOMAS)
            await world.minutes(2)
        await world.scan(MORNING + timedelta(hours=12))
        # The new cluster identity still has no Network Contributor.
        assert world.findings()[REPLACED]["severity"] == "critical"
        assert "another cluster identity, without what the old one held" in world.findings()[REPLACED]["title"]
        for one in orphans:
            if one is not pull:
                actions.assign(cluster.principal_id, one.role, one.scope, TOMAS)
        await world.scan(MORNING + timedelta(hours=18))
        assert world.findings() == {}


async def test_five_hundred_deletions_of_a_clean_up_are_one_card(watch: Watch, azurite: Azurite) -> None:
    watch.advance(MORNING)
    kubelet = watch.azure.tenant.cluster("shop-prod").kubelet_object_id
    group = pulls(watch).scope.rpartition("/providers/")[0]
    roles = ("Reader", "AcrPull", "Network Contributor", "Key Vault Secrets User")
    scopes = [f"{group}/providers/Microsoft.KeyVault/vaults/v{number}" for number in range(125)]
    many = [watch.azure.actions.assign(kubelet, role, scope, TOMAS) for role in roles for scope in scopes]
    await watch.run(MORNING)
    async with wired(watch, azurite) as world:
        before = len(watch.azure.requests)
        for one in (*many, pulls(watch)):
            unassign(watch, one)
        await world.minutes(8)
        listings = [
            one for one in watch.azure.requests[before:] if one.target.split("?")[0].endswith("/roleAssignments")
        ]
        assert len([one for one in listings if one.target.count("/") < 7]) <= 2, "one listing, however many events"
        # The fallback hears of what breaks, and the team of everything: as much as fits one card, the rest counted.
        assert len(world.told()) == 1
        (card,) = [post for post in watch.azure.cards("shop") if post.at > MORNING]
        text = json.dumps(card.body, ensure_ascii=False)
        assert world.told("shop") == [text]
        assert "can no longer pull images" in text
        assert (shown := text.count("lost role")) >= 2
        assert f"{500 - shown} more" in text
        assert azurite.rows("inbox") == []


async def test_accepting_a_loss_is_whole_wherever_it_is_killed(
    watch: Watch, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(watch)
    gone = pulls(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, gone)
        await world.minutes(8)
        fingerprint = world.findings()[PULL]["RowKey"].removeprefix("f-")

        async def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Tables, "save_grants", killed)
            with pytest.raises(KeyboardInterrupt):
                await app.accept(
                    world.clients.tables,
                    watch.settings,
                    watch.azure.tenant.id,
                    fingerprint,
                    "ada",
                    "x",
                    watch.azure.now,
                )
        for hours in (6, 12):
            await world.scan(MORNING + timedelta(hours=hours))
            assert PULL not in world.findings()
        # What is held again and lost again is news.
        watch.azure.actions.restore(gone, TOMAS, same_id=True)
        await world.minutes(8)
        unassign(watch, gone)
        await world.minutes(8)
        assert PULL in world.findings()


async def test_a_forged_event_tells_nothing(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    held = pulls(watch)
    forged = {
        "id": "forged",
        "eventType": "Microsoft.Resources.ResourceDeleteSuccess",
        "eventTime": MORNING.isoformat(),
        "data": {"operationName": "Microsoft.Authorization/roleAssignments/delete", "resourceUri": held.id},
    }
    async with wired(watch, azurite) as world:
        assert world.clients.tables
        assert await app.role_changed(world.clients.tables, forged, MORNING)
        await world.minutes(35)
        assert world.findings() == {}
        assert world.told() == []
        assert azurite.rows("inbox") == []


async def test_nothing_is_ever_written_into_the_tenant(watch: Watch, azurite: Azurite) -> None:
    await begin(watch)
    async with wired(watch, azurite) as world:
        unassign(watch, pulls(watch))
        await world.minutes(7)
        assert world.told()
    sent = {(one.host, one.method, one.target.partition("?")[0]) for one in watch.azure.requests if one.method != "GET"}
    assert {host for host, *_ in sent} == {"graph", "teams"}
    assert {(method, path) for host, method, path in sent if host == "graph"} == {("POST", "/v1.0/$batch")}
