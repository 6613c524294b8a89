"""What a scan asks for besides the listings, so that nothing is called resolved that nobody looked at."""

from __future__ import annotations

from datetime import timedelta

from ..conftest import Azurite, Watch, day

MORNING = day("2026-09-13T06:00")


def statuses(azurite: Azurite) -> dict[str, str]:
    return {row["title"]: row["status"] for row in azurite.rows("findings") if row["RowKey"].startswith("f-")}


async def test_a_subscription_that_is_no_longer_named_is_unread_and_not_resolved(
    watch: Watch, azurite: Azurite
) -> None:
    watch.advance(MORNING)
    await watch.run(MORNING)
    assert "open" in set(statuses(azurite).values())
    before = statuses(azurite)
    other = watch.azure.tenant.subscription("Northwind Staging").id
    watch.env["SUBSCRIPTIONS"] = other
    report = await watch.run(MORNING + timedelta(hours=6))
    after = statuses(azurite)
    assert "resolved" not in after.values()
    assert before.items() <= after.items()
    assert {one.reason for one in report.snapshot.unread} == {"read before, and no longer named in SUBSCRIPTIONS"}
    production = watch.azure.tenant.subscription("Northwind Production")
    watch.azure.tenant.subscriptions.remove(production)
    await watch.run(MORNING + timedelta(hours=12))
    clusters = {title: status for title, status in statuses(azurite).items() if "shop-prod loses" in title}
    assert set(clusters.values()) == {"resolved"}
