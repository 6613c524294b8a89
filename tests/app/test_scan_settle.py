"""The main job, whole: the retailer's tenant, scanned, kept in Azurite, told in Teams."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.findings import Status
from simulator import Fault

from ..conftest import Azurite, Watch, day


def texts(card: dict) -> str:
    """Every text of a card's message, in reading order."""
    found: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("text"), str):
                found.append(node["text"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(card)
    return "\n".join(found)


def all_cards(watch: Watch) -> list:
    return [post for team in watch.azure.channels for post in watch.azure.cards(team)]


async def test_a_scan_finds_exactly_what_the_story_declares(watch: Watch) -> None:
    for expected in watch.azure.tenant.expected:
        watch.advance(expected.at)
        report = await watch.scan(expected.at, storage=False)
        found = sorted((one.rule, one.resource_name, one.severity.label) for one in report.findings)
        wanted = sorted((one.rule, one.resource, one.severity) for one in expected.findings)
        assert found == wanted, expected.at
        assert not report.snapshot.unread


async def test_scanned_twice_there_is_no_second_card_and_no_write_but_the_heartbeat(
    watch: Watch, azurite: Azurite
) -> None:
    now = day("2026-07-22T06:00")
    watch.advance(now)
    await watch.run(now)
    cards, findings, baseline = len(all_cards(watch)), azurite.rows("findings"), azurite.rows("baseline")
    assert cards
    report = await watch.run(now + timedelta(hours=6))
    assert report.written == 0
    assert len(all_cards(watch)) == cards
    assert azurite.rows("findings") == findings
    assert azurite.rows("baseline") == baseline
    assert sorted(row["PartitionKey"] for row in azurite.rows("scans")) == ["lease", "scan", "scan"]
    assert not [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]


async def test_a_missed_week_across_two_tiers_is_one_card_of_the_latest_tier(watch: Watch) -> None:
    await watch.run(day("2026-09-04T12:00"))  # 15 days before the end: tier 30
    before = len(watch.azure.cards("shop"))
    await watch.run(day("2026-09-13T06:00"))  # six days: tiers 14 and 7 have passed
    cards = watch.azure.cards("shop")[before:]
    assert len(cards) == 1
    assert "in 5 days" in texts(cards[0].body)


async def test_a_rotation_is_one_line(watch: Watch) -> None:
    first = day("2026-05-05T06:00")
    await watch.run(first)
    assert "erp 2025" in texts(watch.azure.cards()[-1].body)
    told = len(all_cards(watch))
    for text in ("2026-05-25T06:00", "2026-06-03T06:00"):
        watch.advance(day(text))
        await watch.run(day(text))
    later = [texts(post.body) for post in all_cards(watch)[told:]]
    assert sum(text.count("erp 2025") for text in later) == 1
    assert "replaced by a credential ending" in "".join(later)


async def test_an_unread_subscription_resolves_nothing_and_makes_nothing_missing(
    watch: Watch, azurite: Azurite
) -> None:
    now = day("2026-09-13T06:00")
    watch.advance(now)
    await watch.run(now)
    open_before = {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"}
    cards = len(all_cards(watch))
    watch.azure.add(Fault(path="managedClusters", host="arm", status=503))
    report = await watch.run(now + timedelta(hours=6))
    assert {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"} == open_before
    assert len(report.snapshot.unread) == 3
    assert len(all_cards(watch)) == cards
    # The second time in a row it is a finding, and a critical one: no subscription is readable.
    report = await watch.run(now + timedelta(hours=12))
    assert {one.severity.label for one in report.findings if one.rule == "scan_scope_unreadable"} == {"critical"}
    watch.azure.clear()
    await watch.run(now + timedelta(hours=18))
    assert {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"} == open_before


async def test_a_vanished_subscription_is_unread_until_arm_says_that_it_is_gone(watch: Watch, azurite: Azurite) -> None:
    now = day("2026-09-13T06:00")
    watch.advance(now)
    await watch.run(now)
    gone = watch.azure.tenant.subscription("Northwind Production")
    watch.azure.add(Fault(path=f"/subscriptions/{gone.id}", host="arm", status=403))
    watch.azure.tenant.subscriptions.remove(gone)
    report = await watch.run(now + timedelta(hours=6))
    assert [one.scope for one in report.snapshot.unread] == [f"/subscriptions/{gone.id}"]
    assert "shop-prod" in {one.resource_name for one in report.findings}
    watch.azure.clear()
    report = await watch.run(now + timedelta(hours=12))
    assert not report.snapshot.unread
    assert "shop-prod" not in {one.resource_name for one in report.findings}


async def test_graph_refused_names_the_permission_and_resolves_nothing(watch: Watch, azurite: Azurite) -> None:
    now = day("2026-09-13T06:00")
    watch.advance(now)
    await watch.run(now)
    before = {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"}
    watch.azure.add(Fault(path="/v1.0/", host="graph", status=403))
    report = await watch.run(now + timedelta(hours=6))
    assert "Application.Read.All" in str([one.permission for one in report.snapshot.unread])
    unreadable = [one for one in report.findings if one.rule == "scan_scope_unreadable"]
    assert len([one for one in unreadable if one.severity.label == "critical"]) == 1
    still = {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"}
    assert before <= still
    assert "Application.Read.All" in texts(watch.azure.cards()[-1].body)


async def test_the_cluster_is_told_once_in_each_tier_and_resolved_when_converted(
    watch: Watch, azurite: Azurite
) -> None:
    now, seen = day("2026-07-20T06:00"), []
    while now < day("2026-10-02T06:00"):
        watch.advance(now)
        before = len(watch.azure.cards("shop"))
        await watch.run(now)
        for post in watch.azure.cards("shop")[before:]:
            seen.append((now.date().isoformat(), texts(post.body).split("\n")[0]))
        now += timedelta(days=1)
    # The first daily scan that lies within each tier of the end, then the end itself, then the conversion.
    assert [date for date, _ in seen] == [
        "2026-07-21",
        "2026-08-20",
        "2026-09-05",
        "2026-09-12",
        "2026-09-16",
        "2026-09-18",
        "2026-09-19",
        "2026-09-23",
    ], seen
    assert seen[-1][1] == "Fusewatch: resolved"
    assert {row["status"] for row in azurite.rows("findings") if row.get("rule") == "aks_service_principal_expiry"} == {
        Status.RESOLVED.value
    }


@pytest.mark.parametrize("status", [429, 500, 410])
async def test_a_refused_card_leaves_the_findings_due(watch: Watch, azurite: Azurite, status: int) -> None:
    now = day("2026-09-13T06:00")
    watch.advance(now)
    watch.azure.add(Fault(path="/workflows/", host="teams", status=status))
    await watch.scan(now)
    settled = await watch.settle(now)
    assert settled.accepted == 0
    assert settled.waiting
    due = [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]
    assert due
    assert all(row["not_before"] > now.isoformat() for row in due)
    watch.azure.clear()
    again = await watch.settle(now)
    assert (again.accepted, again.waiting, again.grace) == (0, settled.waiting, 0), (
        "what waits for a receiver is no grace"
    )
    assert (await watch.settle(now + timedelta(hours=2))).accepted > 0
    assert not [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]


async def test_a_team_whose_receiver_is_gone_is_heard_of_through_the_fallback(watch: Watch) -> None:
    now = day("2026-08-20T06:00")
    watch.advance(now)
    watch.azure.add(Fault(path=watch.env["TEAMS_WEBHOOK_URL_SHOP"].split("/workflows/")[1].split("/")[0], status=410))
    await watch.run(now)
    assert not watch.azure.cards("shop")
    assert any("refuses cards" in texts(post.body) and "shop-prod" in texts(post.body) for post in watch.azure.cards())
    count = len(watch.azure.cards())
    await watch.settle(now + timedelta(hours=2))
    assert len(watch.azure.cards()) == count
