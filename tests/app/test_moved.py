"""A subscription that leaves its management group, and what then becomes of a grant that hangs there: one story."""

from __future__ import annotations

from datetime import timedelta

from simulator.access import ManagementGroup
from simulator.azurite import Azurite

from ..conftest import Watch, wired
from .test_drift import MORNING, PULL, TOMAS, pulls

PRODUCTION, STAGING = "Northwind Production", "Northwind Staging"


async def begin(watch: Watch) -> ManagementGroup:
    """The cluster of the shop pulls by what its kubelet holds at a management group, and one scan has seen it."""
    watch.advance(MORNING)
    watch.azure.now = MORNING
    tenant, direct = watch.azure.tenant, pulls(watch)
    group = tenant.access.management_groups[0]
    watch.azure.actions.assign(direct.principal_id, "AcrPull", group.id, TOMAS)
    tenant.access.remove(direct.id)
    await watch.run(MORNING)
    return group


def leave(watch: Watch, group: ManagementGroup) -> None:
    group.subscriptions.remove(watch.azure.tenant.subscription(PRODUCTION).id)
    watch.azure.tenant.access.version += 1


def something_else(watch: Watch, subscription: str) -> None:
    """An event that concerns nobody, after which settle lists that subscription."""
    scope = f"/subscriptions/{watch.azure.tenant.subscription(subscription).id}"
    watch.azure.actions.assign("8c5fa472-a37e-536f-bf2a-3b3ab13d9eac", "Reader", scope, TOMAS)


def stories(azurite: Azurite) -> set[tuple[str, str]]:
    return {(row["status"], row["variant"]) for row in azurite.rows("findings") if row.get("rule") == PULL}


async def test_the_listing_of_one_subscription_does_not_take_the_grant_from_the_others(
    watch: Watch, azurite: Azurite
) -> None:
    group = await begin(watch)
    async with wired(watch, azurite) as world:
        leave(watch, group)
        for name in (PRODUCTION, STAGING):
            something_else(watch, name)
            await world.minutes(12)
            assert ("resolved", "lost") not in stories(azurite)
        for hours in (6, 12):
            await world.scan(MORNING + timedelta(hours=hours))
            await world.minutes(12)
            assert stories(azurite) == {("open", "moved")}
        assert len(world.told()) == 1


async def test_the_grant_that_goes_after_the_subscription_is_the_same_finding(watch: Watch, azurite: Azurite) -> None:
    group = await begin(watch)
    async with wired(watch, azurite) as world:
        leave(watch, group)
        await world.scan(MORNING + timedelta(hours=6))
        await world.minutes(8)
        assert stories(azurite) == {("open", "moved")}
        watch.azure.tenant.access.remove(pulls(watch).id)
        for hours in (12, 18):
            await world.scan(MORNING + timedelta(hours=hours))
            await world.minutes(12)
            assert stories(azurite) == {("open", "lost")}
        assert len(world.told()) == 1
