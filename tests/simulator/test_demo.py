"""The demo fails when it does not tell its story, and the picture that it leaves shows every card."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.card import greeting
from simulator import channel_page, load
from simulator.demo import WIDTH, picture
from simulator.teams import FALLBACK, Post

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)

STORY = load("retailer").story
SHOP = list(STORY.lines)


def test_a_story_that_was_told_as_declared_has_no_differences() -> None:
    assert SHOP
    assert STORY.differences(SHOP) == []
    assert STORY.differences([*SHOP, replace(SHOP[0], team=FALLBACK, text="what only the fallback hears")]) == []


@pytest.mark.parametrize("number", range(len(SHOP)))
def test_a_declared_line_that_is_not_told_is_missing(number: int) -> None:
    assert STORY.differences(SHOP[:number] + SHOP[number + 1 :]) == [f"Not told: {SHOP[number]}"]


def test_a_declared_line_that_is_told_a_day_late_is_missing_and_too_much() -> None:
    late = replace(SHOP[-1], at=SHOP[-1].at + timedelta(days=1))
    wrong = STORY.differences([*SHOP[:-1], late])
    assert wrong == [f"Not told: {SHOP[-1]}", f"Told, and not in the story: {late}"]


def test_a_line_that_is_told_twice_is_too_much() -> None:
    assert STORY.differences([*SHOP, SHOP[0]]) == [f"Told, and not in the story: {SHOP[0]}"]


@pytest.mark.parametrize("team", ["shop", "web", FALLBACK])
def test_a_word_about_shop_dr_is_too_much_in_any_channel(team: str) -> None:
    word = replace(SHOP[0], team=team, text="Cluster shop-dr can no longer pull images from northwindretail.azurecr.io")
    assert STORY.differences([*SHOP, word]) == [f"Told, and not in the story: {word}"]


def size(picture: Path) -> tuple[int, int]:
    """Width and height, from the header that every PNG begins with."""
    return struct.unpack(">II", picture.read_bytes()[16:24])


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium is installed: the page is not drawn")
def test_the_picture_is_as_tall_as_the_cards(tmp_path: Path) -> None:
    heights = {}
    for count in (1, 2, 150):
        page = tmp_path / f"{count}.html"
        posts = [Post("fallback", NOW, greeting(NOW))] * count
        page.write_text(channel_page.render("Northwind", posts, whole=True), encoding="utf-8")
        assert picture(page, tmp_path / f"{count}.png")
        width, heights[count] = size(tmp_path / f"{count}.png")
        assert width == WIDTH
    one = heights[2] - heights[1]
    assert heights[150] == heights[1] + 149 * one > 14_000
