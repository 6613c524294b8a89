"""The weekly card that says what is watched: silence from Fusewatch must not be taken for calm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .card import Coverage, by_severity, coverage_text, remaining
from .elements import Element, envelope, paragraph, runs, size
from .findings import Finding
from .rule import date_text
from .silences import Silence
from .text import amounts

WEEK = timedelta(days=7)
_FIRST = datetime(2024, 1, 1, 8, tzinfo=UTC)
"""A Monday at 08:00 UTC: the card comes at the beginning of a working week."""

STALE = timedelta(days=2)
"""A last scan older than this is worse news than anything it found."""
SOON = timedelta(days=14)
"""How long before its end a silence is named."""

_LINES = 5
_LIMIT = 24_000


def following(now: datetime) -> datetime:
    """When the next card is due: the first Monday, 08:00 UTC, after a moment."""
    return _FIRST + ((now - _FIRST) // WEEK + 1) * WEEK


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What the card says."""

    coverage: Coverage
    tenant_id: str
    findings: Sequence[Finding]
    """Open ones."""
    silences: Sequence[Silence]


def heartbeat_card(beat: Heartbeat, now: datetime) -> Element:
    """The card as a message."""
    message = _message(beat, now, 200)
    return message if size(message) <= _LIMIT else _message(beat, now, 60)


def _message(beat: Heartbeat, now: datetime, limit: int) -> Element:
    trouble = _trouble(beat.coverage, now)
    summary = f"Fusewatch: {trouble or 'still watching'}"
    subject = f"Weekly · tenant {beat.tenant_id}"
    style = "attention" if trouble else "warning" if beat.coverage.unread else "good"
    heading = {
        "type": "Container",
        "style": style,
        "bleed": True,
        "items": [
            paragraph(runs(summary, size="large", weight="bolder")),
            paragraph(runs(subject, size="small"), spacing="none"),
        ],
    }
    ending = sorted(
        (one for one in beat.findings if one.expires_on and one.expires_on > now and not one.superseded_on),
        key=lambda one: (one.expires_on, one.resource_name.lower()),
    )
    body = [
        heading,
        *_section("Watched", [_watched(beat.coverage)], limit),
        *_section("Open", [_open(beat.findings, beat.coverage.silenced)], limit),
        *_section("Ends next", _ending(ending, now), limit, "nothing within the notice window"),
        *_section("Not seen", beat.coverage.unread, limit, "nothing was left unread", beat.coverage.unnamed),
        *_section("Silences that end soon", _silences(beat.silences, now), limit),
        paragraph(runs(coverage_text(beat.coverage), size="small", subtle=True), separator=True, spacing="medium"),
    ]
    return envelope(body, summary)


def _trouble(coverage: Coverage, now: datetime) -> str:
    """What is wrong with the watching itself, if anything."""
    if coverage.finished is None:
        return "no scan has finished yet"
    age = now - coverage.finished
    return f"no scan has finished for {age.days} days" if age > STALE else ""


def _section(title: str, lines: Iterable[str], limit: int, nothing: str = "", more: int = 0) -> list[Element]:
    """A heading with a line each, `more` of them not named; without lines what `nothing` says, or no section at all."""
    every = [*lines] or ([nothing] if nothing else [])
    if not every:
        return []
    shown = every[:_LINES]
    if more := len(every[_LINES:]) + more:
        shown.append(f"… and {more} more")
    return [
        paragraph(runs(title, weight="bolder"), spacing="medium"),
        *(paragraph(runs(line, limit=limit), spacing="small") for line in shown),
    ]


def _watched(coverage: Coverage) -> str:
    counts = coverage.counts or {}
    return amounts(counts) or "nothing yet"


def _open(findings: Sequence[Finding], silenced: int) -> str:
    said = by_severity(one.severity for one in findings) or "no finding"
    return said + (f"; {silenced} of them silenced" if silenced else "")


def _ending(findings: Sequence[Finding], now: datetime) -> list[str]:
    return [
        f"{date_text(one.expires_on)}, {remaining(one.expires_on, now)}: {one.title}"
        for one in findings
        if one.expires_on
    ]


def _silences(silences: Sequence[Silence], now: datetime) -> list[str]:
    ending = sorted(
        (one for one in silences if one.active(now) and one.until <= now + SOON), key=lambda one: (one.until, one.id)
    )
    return [f"{date_text(one.until)}: {one.matcher}, by {one.by}: {one.comment}" for one in ending]
