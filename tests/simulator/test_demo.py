"""The picture that the demo leaves shows every card, however many there are."""

from __future__ import annotations

import shutil
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.card import greeting
from simulator import channel_page
from simulator.demo import WIDTH, picture
from simulator.teams import Post

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)


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
