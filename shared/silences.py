"""Silences: what is kept and counted, but not announced, until when, by whom and why."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .findings import Finding
from .model import covers

LONGEST = timedelta(days=365)
"""A silence always ends."""

_FINGERPRINT = re.compile(r"[0-9a-f]{32}\Z")
_RULE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+\Z")
_TEXT = 500
"""How long a comment or a name may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Mutes the findings of one fingerprint, of one rule, or of all resources below a path."""

    id: str
    since: datetime
    until: datetime
    by: str
    comment: str
    fingerprint: str = ""
    rule: str = ""
    prefix: str = ""
    """A resource path, compared by segment and without case."""
    etag: str = field(default="", compare=False)

    @property
    def matcher(self) -> str:
        """What it mutes, in words."""
        kind, value = next(((kind, value) for kind, value in _matchers(self) if value), ("nothing", ""))
        return f"{kind} {value}".rstrip()

    def active(self, now: datetime) -> bool:
        """Whether it mutes at that moment."""
        return self.since <= now < self.until

    def matches(self, finding: Finding) -> bool:
        """Whether a finding is one of those it mutes."""
        if self.fingerprint:
            return finding.fingerprint == self.fingerprint
        if self.rule:
            return finding.rule == self.rule
        return bool(self.prefix) and covers(self.prefix, finding.resource_id)


def silence(
    *,
    since: datetime,
    until: datetime,
    by: str,
    comment: str,
    fingerprint: str = "",
    rule: str = "",
    prefix: str = "",
) -> Silence:
    """A silence with the id that follows from what it says; problem() tells whether it may be."""
    said = "\n".join((since.isoformat(), until.isoformat(), by, comment, fingerprint, rule, prefix))
    return Silence(
        id=hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:12],
        since=since,
        until=until,
        by=by.strip(),
        comment=comment.strip(),
        fingerprint=fingerprint.strip().lower(),
        rule=rule.strip(),
        prefix=prefix.strip(),
    )


def problem(one: Silence) -> str:
    """Why a silence may not be, empty if it may: it needs one matcher, an end, an author and a reason."""
    given = [(kind, value) for kind, value in _matchers(one) if value]
    if len(given) != 1:
        return "give exactly one of fingerprint, rule and resource prefix"
    if one.fingerprint and not _FINGERPRINT.match(one.fingerprint):
        return "a fingerprint is 32 hexadecimal digits: `findings --format json` shows them"
    if one.rule and not _RULE.match(one.rule):
        return "that is no rule's name: docs/rules.md lists them"
    if one.prefix and not _bounded(one.prefix):
        return "a resource prefix is a path of at least two segments, such as /subscriptions/ID; it may not match all"
    if one.until <= one.since:
        return "its end lies before its beginning"
    if one.until - one.since > LONGEST:
        return f"it may last {LONGEST.days} days at most"
    for name, text in (("an author", one.by), ("a comment", one.comment)):
        if not text.strip() or len(text) > _TEXT:
            return f"it needs {name} of at most {_TEXT} characters"
    return ""


def _matchers(one: Silence) -> tuple[tuple[str, str], ...]:
    return ("fingerprint", one.fingerprint), ("rule", one.rule), ("below", one.prefix)


def _bounded(prefix: str) -> bool:
    """Whether a path names something, not all subscriptions or all applications."""
    first, *segments = prefix.rstrip("/").split("/")
    return first == "" and len(segments) >= 2 and all(segment.strip() for segment in segments)


def silenced(finding: Finding, now: datetime, silences: Sequence[Silence]) -> Silence | None:
    """The silence that mutes a finding now, the one that lasts longest."""
    active = [one for one in silences if one.active(now) and one.matches(finding)]
    return max(active, key=lambda one: one.until, default=None)


def muting(findings: Sequence[Finding], now: datetime, silences: Sequence[Silence]) -> Mapping[str, Silence]:
    """The silence of each open finding that is muted now, or included in a muted one: nobody hears of it either."""
    found: dict[str, Silence] = {}
    if silences:
        known = {one.fingerprint for one in findings if one.open}
        for one in findings:
            if one.open and (silence := silenced(one, now, silences)):
                found |= {name: silence for name in one.includes if name in known and name not in found}
                found[one.fingerprint] = silence
    return found


def ended(finding: Finding, now: datetime, silences: Sequence[Silence]) -> datetime | None:
    """When the last silence of a finding ended, if one did."""
    return max((one.until for one in silences if one.since < one.until <= now and one.matches(finding)), default=None)
