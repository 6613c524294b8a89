"""Every rule about a tenant, end to end: one tenant, scanned day by day, kept in Azurite, told in Teams."""

from __future__ import annotations

import json
from datetime import timedelta

from shared import app
from shared.rules import RULES
from simulator import Fault, load
from simulator.azurite import Azurite

from ..conftest import Start, Watch, day

REBUILT, LEFTOVER = "aks_identity_replaced", "aks_service_principal_leftover"
ABOUT_THE_APP = {"receiver_refused", "event_not_understood", "scan_scope_unreadable"}
"""What a channel, an event or a refusal makes of the app itself; nothing in a tenant is wrong then."""


def begin(start: Start) -> Watch:
    watch = start(load("catalogue"))
    (reports,) = watch.azure.tenant.topics[0].subscriptions
    watch.env["FUNCTION_APP_ID"] = reports.function_id.partition("/functions/")[0]
    return watch


def findings(azurite: Azurite, rule: str, *statuses: str) -> list[dict]:
    wanted = statuses or ("open",)
    return [row for row in azurite.rows("findings") if row.get("rule") == rule and row["status"] in wanted]


async def through(watch: Watch, until: str) -> None:
    """Scan and tell on every day that the file declares, up to a date."""
    for expected in watch.azure.tenant.expected:
        if expected.at <= day(until):
            watch.advance(expected.at)
            await watch.run(expected.at)
            await watch.settle(expected.at + timedelta(minutes=6))
            await watch.settle(expected.at + timedelta(minutes=8))


def test_every_rule_is_declared_but_those_about_the_app_itself() -> None:
    declared = {one.rule for expected in load("catalogue").expected for one in expected.findings}
    assert declared | ABOUT_THE_APP == {rule.id for rule in RULES}
    assert not declared & ABOUT_THE_APP


async def test_every_day_finds_exactly_what_is_declared(start: Start) -> None:
    watch = begin(start)
    for expected in watch.azure.tenant.expected:
        watch.advance(expected.at)
        report = await watch.run(expected.at)
        found = sorted((one.rule, one.resource_name, one.severity.label) for one in report.findings)
        wanted = sorted((one.rule, one.resource, one.severity) for one in expected.findings)
        assert found == wanted, expected.at
        ids = sorted((one.rule, one.resource_id.lower()) for one in report.findings)
        assert ids == sorted((one.rule, one.resource_id.lower()) for one in expected.findings)
        assert not report.snapshot.unread
        again = await watch.scan(expected.at + timedelta(hours=1))
        assert sorted(one.rule for one in again.findings) == [rule for rule, _, _ in found]
        assert not any(one.resource_name == "healthy-workload" for one in report.findings)


async def test_a_rebuilt_cluster_is_told_with_what_it_lost_and_resolved_when_it_is_back(
    start: Start, azurite: Azurite
) -> None:
    watch = begin(start)
    await through(watch, "2026-11-03T00:00")
    first, second = sorted(findings(azurite, REBUILT), key=lambda row: row["title"])
    assert "without what the old one held: AcrPull on catalogueimages" in second["title"]
    assert "without what the old one held: Network Contributor on nodes" in first["title"]
    text = json.dumps([post.body for post in watch.azure.cards()], ensure_ascii=False)
    assert "Cluster phoenix has another kubelet identity" in text
    assert f"--assignee-object-id {watch.azure.tenant.cluster('phoenix').kubelet_object_id}" in text
    # However many scans go by before somebody acts, the lost grants are remembered.
    for hours in (18, 24, 30):
        await watch.run(day("2026-11-02T12:00") + timedelta(hours=hours - 12))
        assert len(findings(azurite, REBUILT)) == 2
    await through(watch, "2026-11-04T00:00")
    assert findings(azurite, REBUILT) == []
    assert len(findings(azurite, REBUILT, "resolved")) == 2
    # What the new ones hold is theirs now; nothing of the old ones is kept.
    old = {json.loads(row["facts"])["before"] for row in findings(azurite, REBUILT, "resolved")}
    held = {row["principal_id"].lower() for row in azurite.rows("baseline") if row["PartitionKey"] == "grant"}
    assert not old & held


async def test_an_unread_subscription_keeps_what_was_lost(start: Start, azurite: Azurite) -> None:
    watch = begin(start)
    await through(watch, "2026-11-03T00:00")
    watch.advance(day("2026-11-03T12:00"))
    watch.azure.add(Fault(path="roleAssignments", host="arm", status=403))
    await watch.run(day("2026-11-03T12:00"))
    assert len(findings(azurite, REBUILT)) == 2
    watch.azure.clear()
    await watch.run(day("2026-11-03T18:00"))
    assert findings(azurite, REBUILT) == []


async def test_a_converted_cluster_is_mended_and_its_leftover_told_until_it_is_gone(
    start: Start, azurite: Azurite
) -> None:
    watch = begin(start)
    await through(watch, "2026-11-02T00:00")
    assert len(findings(azurite, "aks_service_principal_expiry")) == 1
    await through(watch, "2026-11-03T00:00")
    assert len(findings(azurite, "aks_service_principal_expiry", "resolved")) == 1
    (left,) = findings(azurite, LEFTOVER)
    assert left["variant"] == "nodes"
    await through(watch, "2026-11-04T00:00")
    (left,) = findings(azurite, LEFTOVER)
    assert left["variant"] == ""
    await through(watch, "2026-11-05T00:00")
    (left,) = findings(azurite, LEFTOVER)
    assert left["variant"] == "assignments"
    await through(watch, "2026-11-06T00:00")
    assert findings(azurite, LEFTOVER) == [] and len(findings(azurite, LEFTOVER, "resolved")) == 1
    rows = [json.loads(row["former"]) for row in azurite.rows("baseline") if row["PartitionKey"] == "cluster"]
    assert not any("converted" in row for row in rows)


async def test_accepted_losses_of_a_rebuild_stay_accepted(start: Start, azurite: Azurite) -> None:
    watch = begin(start)
    await through(watch, "2026-11-03T00:00")
    now = day("2026-11-02T14:00")
    for row in findings(azurite, REBUILT):
        async with app.connect_tables(watch.settings, watch.patience) as tables:
            tenant = watch.azure.tenant.id
            print_ = row["RowKey"].removeprefix("f-")
            await app.accept(tables, watch.settings, tenant, print_, "Ada", "not needed", now)
    for hours in (1, 7, 13):
        await watch.run(now + timedelta(hours=hours))
        assert findings(azurite, REBUILT) == []
