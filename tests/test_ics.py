"""The calendar through a parser that is not ours: whole, stable, and literal whatever the names hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import icalendar
import pytest

from shared.ends import End, ends
from shared.ics import calendar, fold, revisions
from shared.model import NEVER
from shared.text import visible

from .builders import NOW, TENANT_ID, after, application, cluster, secret, snapshot
from .test_card import HOSTILE

LATER = NOW + timedelta(days=3)


def end(**changes: object) -> End:
    fields = {
        "key": "0a" * 16,
        "end": after(10),
        "what": "Secret “ci”",
        "subject": "Checkout API",
        "resource_id": "/applications/1",
        "app_id": "app",
    }
    return End(**{**fields, **changes})  # type: ignore[arg-type]


def parsed(text: str) -> list[icalendar.Event]:
    whole = icalendar.Calendar.from_ical(text)
    assert [one.errors for one in whole.walk() if one.errors] == []
    return list(whole.walk("VEVENT"))


def test_an_event() -> None:
    text = calendar([end(clusters=("prod-weu",))], NOW, TENANT_ID)
    assert text.startswith("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert text.endswith("END:VEVENT\r\nEND:VCALENDAR\r\n")
    assert "\n" not in text.replace("\r\n", "")
    (event,) = parsed(text)
    assert event["UID"] == f"{'0a' * 16}@{TENANT_ID}.fusewatch"
    assert event.decoded("DTSTART") == date(2026, 12, 3)
    assert event.decoded("DTEND") == date(2026, 12, 4)
    assert event.decoded("DTSTAMP") == NOW
    assert event.decoded("LAST-MODIFIED") == NOW
    assert event["SEQUENCE"] == 0
    assert event["SUMMARY"] == "Secret “ci” of Checkout API ends"
    assert event["DESCRIPTION"].splitlines() == [
        "Thu 3 Dec 2026, 06:00 UTC.",
        "Clusters that sign in as this application: prod-weu.",
        "App id app.",
        "/applications/1",
    ]
    assert event["TRANSP"] == "TRANSPARENT"
    assert [alarm.decoded("TRIGGER") for alarm in event.walk("VALARM")] == [timedelta(days=-14), timedelta(days=-1)]
    assert {alarm["ACTION"] for alarm in event.walk("VALARM")} == {"DISPLAY"}


@pytest.mark.parametrize(
    ("changes", "summary", "told", "alarms"),
    [
        ({"replaced_on": after(300)}, "Secret “ci” of Checkout API ends", "by one that ends Sun 19 Sep 2027", 0),
        ({"replaced_on": NEVER}, "Secret “ci” of Checkout API ends", "by one that has no end", 0),
        ({"cluster": True}, "Cluster Checkout API loses its sign-in to Azure", "App id app.", 2),
        ({"cluster": True, "sure": False}, "Cluster Checkout API may lose its sign-in to Azure", "It may hold", 2),
    ],
)
def test_what_an_event_says(changes: dict[str, object], summary: str, told: str, alarms: int) -> None:
    (event,) = parsed(calendar([end(**changes)], NOW, TENANT_ID))
    assert event["SUMMARY"] == summary
    assert told in event["DESCRIPTION"]
    assert len(event.walk("VALARM")) == alarms


def test_the_same_again_is_the_same_file() -> None:
    first = calendar([end(), end(key="0b" * 16)], NOW, TENANT_ID)
    assert calendar([end(), end(key="0b" * 16)], LATER, TENANT_ID, first) == first


def test_a_move_is_a_move_and_not_a_copy() -> None:
    first = calendar([end(), end(key="0b" * 16)], NOW, TENANT_ID)
    moved = calendar([end(end=after(200)), end(key="0b" * 16)], LATER, TENANT_ID, first)
    one, other = parsed(moved)
    assert [event["UID"] for event in parsed(moved)] == [event["UID"] for event in parsed(first)]
    assert (one["SEQUENCE"], one.decoded("LAST-MODIFIED"), one.decoded("DTSTART")) == (1, LATER, after(200).date())
    assert (other["SEQUENCE"], other.decoded("LAST-MODIFIED")) == (0, NOW)
    again = calendar([end(end=after(300)), end(key="0b" * 16)], after(5), TENANT_ID, moved)
    assert [event["SEQUENCE"] for event in parsed(again)] == [2, 0]


def test_another_hour_of_the_same_day_is_told_too() -> None:
    first = calendar([end()], NOW, TENANT_ID)
    (event,) = parsed(calendar([end(end=after(10) + timedelta(hours=1))], LATER, TENANT_ID, first))
    assert (event["SEQUENCE"], event.decoded("DTSTART")) == (1, date(2026, 12, 3))


def test_what_is_over_goes_and_after_a_partial_read_nothing_does() -> None:
    first = calendar([end(), end(key="0b" * 16)], NOW, TENANT_ID)
    assert len(parsed(calendar([end()], LATER, TENANT_ID, first))) == 1
    kept = calendar([end()], LATER, TENANT_ID, first, partial=True)
    assert kept == first


@pytest.mark.parametrize(
    "before",
    [
        "",
        "nothing of a calendar",
        "BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:1\nSEQUENCE:x\nEND:VEVENT\n",
        "\0\ufffd" * 99,
    ],
)
def test_a_file_that_is_none_of_ours_is_replaced(before: str) -> None:
    assert calendar([end()], NOW, TENANT_ID, before) == calendar([end()], NOW, TENANT_ID)
    assert revisions(before) == {}


def test_hostile_text_stays_where_it_is() -> None:
    evil = [
        *HOSTILE,
        "a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:forged",
        "x;y,z\\n\\",
        "é" * 200,
        "😀" * 100,
        "a\nSEQUENCE:9",
    ]
    some = [end(key=f"{number:032x}", what=text, subject=text, clusters=(text,)) for number, text in enumerate(evil)]
    text = calendar(some, NOW, TENANT_ID)
    events = parsed(text)
    assert len(events) == len(evil)
    for one, event in zip(evil, events, strict=True):
        assert event["SUMMARY"] == visible(f"{one} of {one} ends")
        assert event["SEQUENCE"] == 0
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    assert calendar(some, LATER, TENANT_ID, text) == text


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀"])
def test_folding_keeps_letters_whole(letter: str) -> None:
    for length in range(60, 160):
        folded = fold(letter * length)
        assert folded.replace("\r\n ", "") == letter * length
        assert all(len(line.encode()) <= 75 for line in folded.split("\r\n"))


def test_a_cluster_whose_secret_is_renewed_moves() -> None:
    def told(*ends_at: float) -> dict[str, tuple[date, int]]:
        seen = snapshot(cluster(), application(*(secret(after(one), number) for number, one in enumerate(ends_at, 1))))
        text = calendar(ends(seen), NOW, TENANT_ID)
        return {event["UID"]: (event.decoded("DTSTART"), event["SEQUENCE"]) for event in parsed(text)}

    before, after_renewal = told(10), told(10, 300)
    # The cluster surely fails later now; the first date became one on which it may.
    moved = [uid for uid in before.keys() & after_renewal.keys() if before[uid][0] != after_renewal[uid][0]]
    assert len(moved) == 1
    assert after_renewal[moved[0]][0] == after(300).date()
    assert len(before) == 2
    assert len(after_renewal) == 4
    assert replace(end(), cluster=True).title == "Cluster Checkout API loses its sign-in to Azure"
