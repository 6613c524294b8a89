"""Teams behind real sockets: the address byte for byte, the pace, and what becomes of a card that is not taken."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.card import greeting
from shared.clients.http import Patience, retry_after, session
from shared.clients.teams import DeliveryError, Teams
from shared.settings import Receiver, Secret
from simulator import Fault, Simulator, load

from ..conftest import ROOT, Start

BRIEF = Patience(attempts=2, connect=1, read=0.5, backoff=0.01, longest_wait=2, total=3)


@pytest.fixture
def azure(start: Start) -> Simulator:
    return start(load("retailer"), storage=False).azure


def receiver(azure: Simulator, team: str = "", query: str = "") -> Receiver:
    name = "TEAMS_WEBHOOK_URL" + (f"_{team}" if team else "")
    return Receiver(name=name, url=Secret(azure.environment[name] + query))


async def send(azure: Simulator, to: Receiver | None = None, patience: Patience = BRIEF, text: str = "") -> None:
    message = greeting(azure.now)
    if text:
        message["attachments"][0]["content"]["body"].append({"type": "TextBlock", "text": text})
    async with session(patience) as pool:
        await Teams(pool, patience).send(to or receiver(azure), message)


def posts(azure: Simulator) -> list[Any]:
    return [one for one in azure.requests if one.host == "teams"]


async def test_a_card_is_posted_as_a_message_of_one_adaptive_card(azure: Simulator) -> None:
    await send(azure, text="Zürich “fuse” 🔥")
    (post,) = azure.cards()
    assert (post.body["type"], len(post.body["attachments"])) == ("message", 1)
    assert post.card["body"][-1]["text"] == "Zürich “fuse” 🔥"


async def test_a_text_that_is_no_unicode_stops_nothing(azure: Simulator) -> None:
    await send(azure, text="lone \ud800 surrogate")
    assert azure.cards()[0].card["body"][-1]["text"] == "lone ? surrogate"


async def test_the_address_is_sent_byte_for_byte(azure: Simulator) -> None:
    odd = "&sp=%2Ftriggers%2fmanual%2Frun&a=b+c%20d&e=%7E~'()!*;&f=%E2%82%AC&g=a%25b&h==&i&sig=x-y_z%3D%3D"
    with pytest.raises(DeliveryError):
        await send(azure, receiver(azure, query=odd))
    url = urlsplit(azure.environment["TEAMS_WEBHOOK_URL"] + odd)
    assert posts(azure)[0].target == f"{url.path}?{url.query}"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_accepted(azure: Simulator, status: int) -> None:
    azure.add(Fault(path="/workflows/", host="teams", status=status, body=b""))
    await send(azure)
    assert len(posts(azure)) == 1


@pytest.mark.parametrize(
    ("fault", "said", "tries"),
    [
        pytest.param({"status": 500}, "answered HTTP 500", 2, id="500"),
        pytest.param({"status": 502}, "answered HTTP 502", 2, id="502"),
        pytest.param({"status": 429}, "answered HTTP 429", 2, id="throttled"),
        pytest.param({"status": 429, "retry_after": 90}, "answered HTTP 429", 1, id="throttled for long"),
        pytest.param({"status": 413}, "answered HTTP 413", 2, id="too large"),
        pytest.param({"reset": "before"}, "did not answer (", 2, id="reset before"),
        pytest.param({"reset": "after"}, "did not answer (", 2, id="reset after"),
        pytest.param({"hang": True}, "did not answer (timeout)", 1, id="no answer"),
    ],
)
async def test_what_may_pass_is_tried_again_and_then_told(
    azure: Simulator, fault: dict[str, Any], said: str, tries: int
) -> None:
    azure.add(Fault(path="/workflows/", host="teams", **fault))
    with pytest.raises(DeliveryError) as caught:
        await send(azure)
    assert caught.value.reason.startswith(f"TEAMS_WEBHOOK_URL {said}")
    assert not caught.value.permanent
    assert caught.value.retry_after == fault.get("retry_after", 0)
    assert len(posts(azure)) == tries


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusal_is_tried_once(azure: Simulator, status: int) -> None:
    azure.add(Fault(path="/workflows/", host="teams", status=status))
    with pytest.raises(DeliveryError) as caught:
        await send(azure)
    assert caught.value.permanent
    assert caught.value.reason == f"TEAMS_WEBHOOK_URL answered HTTP {status}"
    advice = ": the flow is gone or its URL was renewed: docs/operations.md, Rotate a webhook" if status != 400 else ""
    assert str(caught.value) == caught.value.reason + advice
    assert "\n## Rotate a webhook\n" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert len(posts(azure)) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param(
            "https://127.0.0.1:1/s3cr3t", "it refuses connections; check the network and any proxy", id="port"
        ),
        pytest.param("https://s3cr3t.invalid/", "its name is not found; check the network and DNS", id="name"),
    ],
)
async def test_what_cannot_be_reached_is_told_in_words_and_without_the_address(
    azure: Simulator, url: str, words: str
) -> None:
    with pytest.raises(DeliveryError) as caught:
        await send(azure, Receiver(name="TEAMS_WEBHOOK_URL", url=Secret(url)))
    assert str(caught.value) == f"TEAMS_WEBHOOK_URL did not answer ({words})"


async def test_a_certificate_that_is_not_trusted_is_called_so(azure: Simulator, monkeypatch: Any) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DeliveryError, match="its certificate is not trusted"):
        await send(azure)


async def test_a_redirect_is_not_followed(start: Start) -> None:
    stranger = start(load("hostile"), storage=False).azure
    azure = start(load("retailer"), storage=False).azure
    azure.add(Fault(path="/workflows/", host="teams", redirect=stranger.origins["teams"]))
    with pytest.raises(DeliveryError, match="answered HTTP 302"):
        await send(azure)
    assert stranger.requests == []


async def test_a_slow_flow_gets_a_card_once(azure: Simulator) -> None:
    azure.add(Fault(path="/workflows/", host="teams", latency=0.8))
    with pytest.raises(DeliveryError, match="timeout"):
        await send(azure)
    assert len(posts(azure)) <= 1


@pytest.mark.parametrize("date", [False, True])
async def test_retry_after_is_honoured(azure: Simulator, date: bool) -> None:
    patience = Patience(attempts=2, connect=1, read=1, backoff=0.01, longest_wait=5, total=10)
    retry_after = Fault(path="/workflows/", host="teams", status=429, retry_after=2, retry_after_date=date, times=1)
    azure.add(retry_after)
    await send(azure, patience=patience)
    first, second = (one.time for one in posts(azure))
    # A date has no fractions of a second.
    assert second - first >= (0.9 if date else 1.9)
    assert len(azure.cards()) == 1


async def test_a_channel_never_sees_more_than_four_posts_a_second(azure: Simulator) -> None:
    async with session(BRIEF) as pool:
        teams = Teams(pool, BRIEF)
        for _ in range(9):
            await teams.send(receiver(azure), greeting(azure.now))
    assert len(azure.cards()) == 9
    assert [one.status for one in posts(azure)] == [202] * 9


async def test_a_receiver_with_a_problem_is_not_called(azure: Simulator) -> None:
    to = Receiver(name="X", url=Secret(azure.environment["TEAMS_WEBHOOK_URL"]), problem="it is retired")
    began = time.monotonic()
    with pytest.raises(DeliveryError, match="X: it is retired") as caught:
        await send(azure, to)
    assert caught.value.permanent
    assert posts(azure) == []
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" \x1c7\n", 7),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 9998 07:28:00 GMT", 86_400),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", 0),
        ("999999999999999999", 86_400),
        ("9" * 400, 86_400),
    ],
)
def test_a_wait_that_nobody_can_mean_breaks_no_sum(header: str, seconds: float) -> None:
    assert retry_after(header) == seconds
