"""Findings reach the custom topic at least once, and never keep Teams from being told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from simulator import Fault

from ..conftest import Azurite, Watch, day
from .test_scan_settle import all_cards

NOW = day("2026-09-13T06:00")


@pytest.fixture
def topical(watch: Watch, azurite: Azurite) -> Watch:
    watch.env["TOPIC_ENDPOINT"] = watch.azure.topic_endpoint
    watch.advance(NOW)
    return watch


def appointed(azurite: Azurite) -> bool:
    return "due.topic" in {row["RowKey"] for row in azurite.rows("findings")}


def states(watch: Watch) -> list[tuple[str, str]]:
    return [(one["data"]["fingerprint"], one["type"]) for one in watch.azure.topic.events]


async def test_every_state_is_published_once_and_no_notice_is(topical: Watch, azurite: Azurite) -> None:
    report = await topical.run(NOW)
    events = topical.azure.topic.events
    assert sorted(one["data"]["fingerprint"] for one in events) == sorted(one.fingerprint for one in report.findings)
    assert {one["source"] for one in events} == {f"urn:fusewatch:tenant:{topical.azure.tenant.id}"}
    assert all_cards(topical)
    assert not appointed(azurite)
    await topical.run(NOW + timedelta(hours=6))
    assert len(topical.azure.topic.events) == len(report.findings)


async def test_a_change_and_a_resolution_are_published(topical: Watch, azurite: Azurite) -> None:
    await topical.run(NOW)
    before = len(states(topical))
    for text in ("2026-09-20T06:00", "2026-09-23T06:00"):
        topical.advance(day(text))
        await topical.run(day(text))
    later = topical.azure.topic.events[before:]
    kinds = [
        (one["type"], one["data"]["severity"]) for one in later if one["data"]["rule"] == "aks_service_principal_expiry"
    ]
    assert kinds == [("fusewatch.finding.open", "critical"), ("fusewatch.finding.resolved", "critical")]
    identifiers = [one["id"] for one in topical.azure.topic.events]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(host="topic", path="/api/events", status=403),
        Fault(host="topic", path="/api/events", status=500),
        Fault(host="topic", path="/api/events", reset="before"),
        Fault(host="topic", path="/api/events", reset="after"),
    ],
    ids=["403", "500", "reset before", "reset after"],
)
async def test_a_topic_that_fails_leaves_events_due_and_cards_told(
    topical: Watch, azurite: Azurite, fault: Fault
) -> None:
    topical.azure.add(fault)
    report = await topical.run(NOW)
    assert all_cards(topical)
    assert appointed(azurite)
    assert not [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]
    topical.azure.clear()
    had = len(topical.azure.topic.events)
    await topical.settle(NOW + timedelta(seconds=30))
    assert len(topical.azure.topic.events) == had
    cards = len(all_cards(topical))
    await topical.settle(NOW + timedelta(minutes=5))
    assert {name for name, _ in states(topical)} == {one.fingerprint for one in report.findings}
    assert not appointed(azurite)
    assert len(all_cards(topical)) == cards


async def test_what_was_in_flight_when_its_answer_was_lost_comes_again_with_the_same_id(
    topical: Watch, azurite: Azurite
) -> None:
    topical.azure.add(Fault(host="topic", path="/api/events", reset="after"))
    await topical.run(NOW)
    # The topic has the events, this side does not know, and the owners were told meanwhile.
    first = {one["id"] for one in topical.azure.topic.events}
    assert first
    assert all_cards(topical)
    topical.azure.clear()
    had = len(topical.azure.topic.events)
    await topical.settle(NOW + timedelta(minutes=5))
    assert {one["id"] for one in topical.azure.topic.events[had:]} == first


async def test_killed_between_planning_and_writing_nothing_is_lost(topical: Watch, azurite: Azurite) -> None:
    from shared.app import topic as publishing

    await topical.scan(NOW)
    # As if the run had died after the findings and before anything else: the appointment stands already.
    assert appointed(azurite)
    async with topical.clients() as clients:
        assert clients.tables
        stored = await clients.tables.list_findings(topical.azure.tenant.id)
        await publishing.publish(clients, clients.tables, topical.azure.tenant.id, stored, NOW)
    assert len(topical.azure.topic.events) == len(stored.findings)
    await topical.settle(NOW)
    assert len(topical.azure.topic.events) == len(stored.findings)


async def test_without_the_setting_nothing_is_planned_or_sent(watch: Watch, azurite: Azurite) -> None:
    watch.advance(NOW)
    await watch.run(NOW)
    assert not appointed(azurite)
    assert not watch.azure.topic.events
    # Switched on later, the topic hears of what is open; switched off again, nothing waits for ever.
    watch.env["TOPIC_ENDPOINT"] = watch.azure.topic_endpoint
    report = await watch.run(NOW + timedelta(hours=6))
    assert len(watch.azure.topic.events) == len(report.findings)
    watch.azure.add(Fault(host="topic", path="/api/events", status=500))
    watch.advance(day("2026-09-20T06:00"))
    await watch.run(day("2026-09-20T06:00"))
    assert appointed(azurite)
    del watch.env["TOPIC_ENDPOINT"]
    await watch.settle(day("2026-09-20T08:00"))
    assert not appointed(azurite)


async def test_batches_are_below_a_megabyte(topical: Watch, azurite: Azurite) -> None:
    await topical.run(NOW)
    assert topical.azure.topic.batches
    assert max(topical.azure.topic.batches) <= 1024 * 1024
    assert json.dumps(topical.azure.topic.events)
