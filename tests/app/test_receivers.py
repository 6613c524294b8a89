"""A receiver that refuses for good becomes a finding of the fallback, and is forgiven when it takes a card."""

from __future__ import annotations

from datetime import timedelta

import pytest

from simulator import Fault

from ..conftest import Azurite, Watch, day
from ..test_cli import shared
from .test_scan_settle import texts

NOW = day("2026-08-20T06:00")


def refuse(watch: Watch, team: str, status: int = 410) -> None:
    url = watch.env[f"TEAMS_WEBHOOK_URL_{team}" if team else "TEAMS_WEBHOOK_URL"]
    watch.azure.add(Fault(path=url.split("/workflows/")[1].split("/")[0], status=status))


def refused(report) -> list:
    return [one for one in report.findings if one.rule == "receiver_refused"]


def row(azurite: Azurite) -> list[dict]:
    return [one for one in azurite.rows("findings") if one["RowKey"].startswith("receiver-")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusing_team_is_told_to_the_fallback_and_resolved_when_it_takes_a_card(
    watch: Watch, azurite: Azurite, status: int
) -> None:
    watch.advance(NOW)
    refuse(watch, "SHOP", status)
    await watch.run(NOW)
    for hours in (6, 12, 18):
        (found,) = refused(await watch.run(NOW + timedelta(hours=hours)))
        assert (found.severity.label, found.team) == ("warning", "")
        assert f"HTTP {status}" in found.title
    cards = [texts(post.body) for post in watch.azure.cards()]
    assert sum("The channel of team SHOP has refused cards" in text for text in cards) == 1
    assert "webhook-test --team SHOP" in "".join(cards)
    watch.azure.clear()
    # What stayed due for the team is taken at the next try, and the scan after that calls it resolved.
    await watch.settle(NOW + timedelta(hours=20))
    assert not row(azurite)
    assert not refused(await watch.run(NOW + timedelta(hours=24)))
    assert "The channel of team SHOP" in texts(watch.azure.cards()[-1].body)
    assert "resolved" in texts(watch.azure.cards()[-1].body)


@pytest.mark.parametrize("status", [429, 500])
async def test_a_fault_that_may_pass_is_no_refusal(watch: Watch, azurite: Azurite, status: int) -> None:
    watch.advance(NOW)
    refuse(watch, "SHOP", status)
    await watch.run(NOW)
    assert not refused(await watch.run(NOW + timedelta(hours=6)))
    assert not row(azurite)


async def test_a_receiver_whose_setting_is_gone_is_no_problem(watch: Watch, azurite: Azurite) -> None:
    watch.advance(NOW)
    refuse(watch, "SHOP")
    await watch.run(NOW)
    assert refused(await watch.run(NOW + timedelta(hours=6)))
    del watch.env["TEAMS_WEBHOOK_URL_SHOP"]
    assert not refused(await watch.run(NOW + timedelta(hours=12)))


async def test_a_wrong_address_is_a_refusal_and_is_not_shown(watch: Watch, azurite: Azurite) -> None:
    watch.advance(NOW)
    watch.env["TEAMS_WEBHOOK_URL_SHOP"] = "https://contoso.webhook.office.com/webhookb2/hush"
    await watch.run(NOW)
    (found,) = refused(await watch.run(NOW + timedelta(hours=6)))
    assert "Workflow" in found.title
    assert "hush" not in str(found) + str(azurite.rows("findings"))


async def test_the_fallback_itself_is_a_finding_too(watch: Watch, azurite: Azurite) -> None:
    now = day("2026-09-13T06:00")
    watch.advance(now)
    refuse(watch, "")
    await watch.run(now)
    (found,) = refused(await watch.run(now + timedelta(hours=6)))
    assert found.resource_name == "the fallback"
    watch.azure.clear()
    await watch.settle(now + timedelta(hours=8))
    assert not refused(await watch.run(now + timedelta(hours=12)))


def test_a_test_card_that_is_taken_clears_it(watch: Watch, azurite: Azurite) -> None:
    now = "2026-08-20T06:00Z"
    watch.advance(NOW)
    refuse(watch, "SHOP")
    shared(watch, "scan", "--now", now)
    shared(watch, "settle", "--now", now)
    assert row(azurite)
    assert shared(watch, "webhook-test", "--team", "shop").returncode == 3
    assert row(azurite)
    watch.azure.clear()
    assert shared(watch, "webhook-test", "--team", "shop").returncode == 0
    assert not row(azurite)
