"""What ends when as a calendar that people subscribe to: RFC 5545, https://www.rfc-editor.org/rfc/rfc5545."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .ends import End
from .model import NEVER
from .rule import date_text
from .text import visible

ALARMS = (14, 1)
"""Days before an end at which a calendar reminds."""

_LINE = 75
"""Octets of a line before it is folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """How an event stood in the calendar before this one."""

    lines: tuple[str, ...]
    """As they stand, unfolded."""
    content: str
    """The lines without those that say how often and when it changed."""
    sequence: int
    modified: str


def calendar(ends: Iterable[End], now: datetime, tenant_id: str, before: str = "", *, partial: bool = False) -> str:
    """The calendar, with the text of the one it replaces: what did not change stays as it was, what moved counts up.

    The identity of an event does not depend on its date, so that subscribers see a move and not a copy. After a
    `partial` read nothing is taken out of it: what was not seen may still end.
    """
    known = revisions(before)
    told = set()
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Fusewatch//Ends//EN",
        "CALSCALE:GREGORIAN",
        "X-WR-CALNAME:Fusewatch: what ends",
        # Of RFC 7986, and what older clients read instead.
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",
        "X-PUBLISHED-TTL:PT6H",
    ]
    for one in ends:
        told.add(_uid(one, tenant_id))
        lines += _event(one, now, tenant_id, known)
    if partial:
        for uid, old in known.items():
            if uid not in told:
                lines += ["BEGIN:VEVENT", *old.lines, "END:VEVENT"]
    return "".join(f"{fold(line)}\r\n" for line in (*lines, "END:VCALENDAR"))


def _uid(one: End, tenant_id: str) -> str:
    return f"{one.key}@{tenant_id}.fusewatch"


def _event(one: End, now: datetime, tenant_id: str, known: Mapping[str, Revision]) -> Iterator[str]:
    uid = _uid(one, tenant_id)
    day = one.end.astimezone(UTC).date()
    content = [
        f"DTSTART;VALUE=DATE:{day:%Y%m%d}",
        f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}",
        f"SUMMARY:{escape(visible(one.title))}",
        f"DESCRIPTION:{escape(chr(10).join(_told(one)))}",
        f"CATEGORIES:{'CLUSTER' if one.cluster else 'CREDENTIAL'}",
        # It takes up nobody's day.
        "TRANSP:TRANSPARENT",
    ]
    if not one.replaced_on:
        for days in ALARMS:
            content += [
                "BEGIN:VALARM",
                "ACTION:DISPLAY",
                f"TRIGGER:-P{days}D",
                f"DESCRIPTION:{escape(visible(one.title))}",
                "END:VALARM",
            ]
    stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    old = known.get(uid)
    if old is None:
        sequence = 0
    elif old.content == "\n".join(content):
        sequence, stamp = old.sequence, old.modified
    else:
        sequence = old.sequence + 1
    yield from ("BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{stamp}", f"LAST-MODIFIED:{stamp}", f"SEQUENCE:{sequence}")
    yield from content
    yield "END:VEVENT"


def _told(one: End) -> list[str]:
    lines = [f"{date_text(one.end)}, {one.end.astimezone(UTC):%H:%M} UTC."]
    if one.cluster and not one.sure:
        lines.append("It may hold the credential that ends then: Azure does not show which one a cluster holds.")
    if one.clusters and not one.cluster:
        lines.append(f"Clusters that sign in as this application: {', '.join(map(visible, one.clusters))}.")
    if one.replaced_on:
        date = "has no end" if one.replaced_on >= NEVER else f"ends {date_text(one.replaced_on)}"
        lines.append(f"Replaced already, by one that {date}: check that nothing still uses the old one.")
    return [*lines, f"App id {visible(one.app_id)}.", visible(one.resource_id, 600)]


def escape(text: str) -> str:
    """A text as a value: https://www.rfc-editor.org/rfc/rfc5545#section-3.3.11."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def fold(line: str) -> str:
    """A line in parts of at most 75 octets, none of which ends within a letter."""
    parts, length = [""], 0
    for letter in line:
        size = len(letter.encode())
        if length + size > _LINE:
            parts.append("")
            # The blank at the beginning of what goes on counts.
            length = 1
        parts[-1] += letter
        length += size
    return "\r\n ".join(parts)


_CHANGES = re.compile(r"UID:|DTSTAMP:|LAST-MODIFIED:|SEQUENCE:")


def revisions(text: str) -> dict[str, Revision]:
    """The events of a calendar of ours by UID; of any other text, as much as can be understood."""
    found = {}
    unfolded = text.replace("\r\n", "\n").replace("\n ", "")
    for block in re.findall(r"^BEGIN:VEVENT\n(.*?)^END:VEVENT$", unfolded, re.DOTALL | re.MULTILINE):
        lines = block.splitlines()
        # The alarms of an event come after its own lines, and name none of these.
        own = dict(line.split(":", 1) for line in reversed(lines) if _CHANGES.match(line))
        sequence, modified = own.get("SEQUENCE", ""), own.get("LAST-MODIFIED", "")
        if own.get("UID") and re.fullmatch(r"[0-9]{1,9}", sequence) and re.fullmatch(r"\d{8}T\d{6}Z", modified):
            content = "\n".join(line for line in lines if not _CHANGES.match(line))
            found[own["UID"]] = Revision(lines=tuple(lines), content=content, sequence=int(sequence), modified=modified)
    return found
