"""A channel behaves as one behind a Workflows webhook, and its page shows what was posted."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator import Simulator
from simulator.channel_page import RENDERER

from .clients import trust


def message(*body: dict[str, Any], **card: Any) -> dict[str, Any]:
    content = {"type": "AdaptiveCard", "version": "1.5", "body": list(body), **card}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def text(words: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": words, "wrap": True}


class Poster:
    def __init__(self, azure: Simulator) -> None:
        self.azure = azure
        self.http = httpx.Client(verify=trust(azure.environment))
        self.url = azure.environment["TEAMS_WEBHOOK_URL"]

    def __call__(self, body: Any, url: str = "") -> httpx.Response:
        return self.http.post(url or self.url, json=body)


@pytest.fixture
def post(azure: Simulator) -> Iterator[Poster]:
    poster = Poster(azure)
    yield poster
    poster.http.close()


def test_a_card_is_accepted_and_kept_with_the_simulated_time(post: Poster) -> None:
    post.azure.now = datetime(2026, 7, 22, 6, tzinfo=UTC)
    answer = post(message(text("hello")))
    assert (answer.status_code, answer.content) == (202, b"")
    (kept,) = post.azure.cards()
    assert kept.at == post.azure.now and kept.card["body"][0]["text"] == "hello"


def test_each_team_has_its_channel(post: Poster) -> None:
    assert set(post.azure.channels) == {"fallback", "shop", "web"}
    assert post(message(), post.azure.environment["TEAMS_WEBHOOK_URL_SHOP"]).status_code == 202
    assert [len(post.azure.cards(team)) for team in ("fallback", "shop", "web")] == [0, 1, 0]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda url: url[:-1], 401),
        (lambda url: url.replace("%2F", "/"), 401),
        (lambda url: url.replace("%2F", "%2f"), 401),
        (lambda url: url.partition("?")[0], 401),
        (lambda url: re.sub("workflows/[0-9a-f]+", "workflows/0", url), 404),
    ],
)
def test_the_address_counts_byte_for_byte(post: Poster, change: Any, status: int) -> None:
    assert post(message(), change(post.url)).status_code == status
    assert not post.azure.cards()


def test_a_message_of_more_than_28_kilobytes_is_too_large(post: Poster) -> None:
    assert post(message(text("x" * 28_000))).status_code == 202
    assert post(message(text("x" * 28_672))).status_code == 413
    assert len(post.azure.cards()) == 1


def test_more_than_four_messages_a_second_are_throttled(post: Poster) -> None:
    answers = [post(message()) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202] * 4 + [429]
    assert answers[-1].headers["retry-after"] == "1"
    time.sleep(1)
    assert post(message()).status_code == 202


def test_a_body_that_the_flow_cannot_post_is_accepted_and_never_shown(post: Poster) -> None:
    bare = message()["attachments"][0]["content"]
    double = message()
    double["attachments"] *= 2
    answers = [post({"text": "hello"}), post(bare), post(double), post(message(type="MessageCard"))]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert not post.azure.cards()
    assert [one.failure for one in post.azure.failed()] == [
        "the body is no message",
        "the body is no message",
        "the message has not exactly one attachment",
        "Property 'type' must be 'AdaptiveCard'",
    ]


def test_a_body_that_is_no_json_is_refused(post: Poster) -> None:
    assert post.http.post(post.url, content=b"{").status_code == 400


HOSTILE = "[click](https://evil.example) **x** </script><script>document.title='broken'</script><at>Everyone</at>"


def cards(post: Poster) -> None:
    run = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": HOSTILE}]}
    mention = {"type": "mention", "text": "<at>Ines</at>", "mentioned": {"id": "ines@x.example", "name": "Ines"}}
    entities = {"width": "Full", "entities": [mention]}
    post(message(text("**bold** and <at>Ines</at> and [a link](https://example.com/)"), run, msteams=entities))
    post(message(text("second")))


def test_the_page_is_served_with_its_scripts_and_nothing_from_elsewhere(post: Poster) -> None:
    cards(post)
    page = post.http.get(post.azure.channel_url)
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert HOSTILE not in page.text
    assert re.findall(r'(?:src|href)="([^"]+)"', page.text) == ["/static/adaptivecards.min.js", "/static/channel.js"]
    assert post.http.get(post.azure.origins["teams"] + "/static/channel.js").status_code == 200
    assert post.http.get(post.azure.origins["teams"] + "/static/../server.py").status_code == 404
    assert not re.search(r"sig=\w", page.text)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(not CHROMIUM or not RENDERER.exists(), reason="needs Chromium and the adaptivecards of npm install")
def test_the_page_as_one_file_draws_the_cards(post: Poster, tmp_path: Path) -> None:
    cards(post)
    file = tmp_path / "channel.html"
    file.write_text(post.azure.page(), encoding="utf-8")
    assert CHROMIUM
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", file.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    drawn = ran.stdout
    assert 'data-drawn="yes"' in drawn and "broken</title>" not in drawn
    assert "CONSOLE" not in ran.stderr, ran.stderr
    shown = drawn[drawn.index('id="posts"') : drawn.index("</main>")]
    assert shown.count("<article>") == 2 and shown.index("bold") < shown.index("second")
    assert re.search("<strong[^>]*>bold</strong>", shown) and '<span class="mention">Ines</span>' in shown
    assert '<a href="https://example.com/"' in shown
    # A TextRun is text: no link, no bold, no mention, no element.
    assert "[click](https://evil.example) **x** &lt;/script&gt;" in shown and "&lt;at&gt;Everyone&lt;/at&gt;" in shown
