"""Some seeds of `make faults`, and that the model notices what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator.azurite import Azurite
from simulator.teams import Post

from .faults import Story, tell
from .ledger import Ledger, Wrong, lines
from .world import CRITICAL, WARNING, Problem


@pytest.mark.parametrize("seed", range(1, 9))
async def test_60_days_of_faults_are_told_as_they_are(azurite: Azurite, seed: int) -> None:
    story = await tell(seed, azurite)
    assert story.ledger.log, "nobody was told anything: such a story judges nothing"
    assert sum("scan:" in line for line in story.said) > 5


@pytest.fixture
async def story(azurite: Azurite) -> Story:
    return await tell(1, azurite)


async def test_the_model_notices_what_is_left_out_told_twice_or_resolved_too_early(story: Story) -> None:
    ledger, now = story.ledger, story.world.now
    truth = story.world.problems()
    ledger.complete(truth, now)
    key = ("a_rule", "a", "")
    with pytest.raises(Wrong, match="was not told"):
        ledger.complete({**truth, key: Problem(severity=WARNING)}, now)
    with pytest.raises(Wrong, match="a problem, and not open"):
        ledger.see(ledger.rows, {}, {**truth, key: Problem(severity=WARNING)}, now, sure=True)
    (one, row), *_ = [(name, row) for name, row in ledger.rows.items() if row["status"] == "open"]
    with pytest.raises(Wrong, match="is still a problem"):
        ledger.see({**ledger.rows, one: {**row, "status": "resolved"}}, {}, truth, now, sure=False)
    with pytest.raises(Wrong, match="opened, and is no problem"):
        ledger.see({key: {**row, "status": "open"}}, {}, truth, now, sure=False)


async def test_the_model_notices_a_card_that_comes_again(story: Story) -> None:
    post = next(one for one in story.azure.channels["fallback"].posts if any(not line.closing for line in lines(one)))
    told = [line for line in lines(post) if not line.closing]
    rows = {
        ("receiver_refused", line.title, ""): {"status": "open", "title": line.title, "expires_on": "", "team": ""}
        for line in told
    }
    ledger, truth = Ledger(world=story.world, rows=dict(rows)), {key: Problem(severity=CRITICAL) for key in rows}
    card = replace(post, body={"attachments": [{"content": {"body": problems(post)}}]})
    story.world.mutes.clear()
    ledger.see(rows, {"fallback": [card]}, truth, story.world.now, sure=False)
    # One whose answer was lost may come once more, and no oftener.
    ledger.owed = 1
    ledger.see(rows, {"fallback": [card]}, truth, story.world.now, sure=False)
    with pytest.raises(Wrong, match="told twice"):
        ledger.see(rows, {"fallback": [card]}, truth, story.world.now, sure=False)


def problems(post: Post) -> list[Any]:
    """The parts of a card that tell of what is wrong now."""
    return [item for item in post.card["body"] if item.get("type") == "Container" and item.get("spacing") == "large"]
