"""What to announce, why, and to whom: pure decisions, each with a named reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .findings import Finding, Notice, Reason, Status
from .model import Severity
from .silences import Silence, ended, silenced

FALLBACK = ""
"""The receiver of whatever no team owns, and of everything critical."""

SHOWN = 12
"""How many problems a card shows in full; the rest are counted."""

_CLOSING = (Reason.RESOLVED, Reason.REPLACED)
"""After these a receiver knows of no problem any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When something is worth a card, from Settings."""

    notice_days: tuple[int, ...] = (60, 30, 14, 7, 3, 1)
    min_severity: Severity = Severity.WARNING
    repeat: timedelta = timedelta(days=7)
    silences: tuple[Silence, ...] = ()
    """Those that are stored; the rest comes from Settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One finding on a card, and why it is there."""

    finding: Finding
    reason: Reason
    tier: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Everything that one receiver is told in one run, worst first."""

    receiver: str
    shown: tuple[Entry, ...]
    counted: tuple[Entry, ...]
    closed: tuple[Entry, ...]
    """Resolved and replaced ones: a line each."""


def tier(finding: Finding, now: datetime, policy: Policy) -> int | None:
    """The notice tier a finding has reached: days before its end, 0 once it has ended; None without an end."""
    if finding.expires_on is None:
        return None
    if finding.expires_on <= now:
        return 0
    reached = [days for days in policy.notice_days if finding.expires_on - now <= timedelta(days=days)]
    return min(reached, default=max(policy.notice_days))


def receivers(finding: Finding) -> tuple[str, ...]:
    """Who is told of a finding: its team, or the fallback; the fallback also of what is critical."""
    if not finding.team:
        return (FALLBACK,)
    return (finding.team, FALLBACK) if finding.severity is Severity.CRITICAL else (finding.team,)


def last_notice(finding: Finding, receiver: str) -> Notice | None:
    """What a receiver was last told of a finding, if anything."""
    return next((notice for notice in finding.announced if notice.receiver == receiver), None)


def covered(findings: Iterable[Finding], policy: Policy) -> Mapping[str, frozenset[str]]:
    """For each receiver, the fingerprints that another finding it is told of includes."""
    told: dict[str, set[str]] = {}
    for finding in findings:
        if finding.open and finding.includes and finding.severity >= policy.min_severity:
            for receiver in receivers(finding):
                told.setdefault(receiver, set()).update(finding.includes)
    return {receiver: frozenset(fingerprints) for receiver, fingerprints in told.items()}


def reason(finding: Finding, receiver: str, now: datetime, policy: Policy, *, standby: bool = False) -> Reason:
    """Why a receiver should be told of a finding now, compared with what it was last told.

    `standby` is set for the fallback that stands in for a receiver which refuses.
    """
    last = last_notice(finding, receiver)
    if finding.open and (finding.pending or (finding.not_before and now < finding.not_before)):
        # In its grace, or nobody has looked yet whether what is missing is still missing.
        return Reason.NONE
    if not finding.open:
        # Only who knows of the problem hears of its end, and who was told of the replacement knows already.
        known = last is not None and not last.counted and last.reason not in _CLOSING
        return Reason.RESOLVED if finding.status is Status.RESOLVED and known else Reason.NONE
    if finding.superseded_on and last and last.reason is Reason.REPLACED:
        return Reason.NONE
    replaced = finding.superseded_on is not None and finding.superseded_on > now
    if replaced and last and not last.counted and finding.severity < last.severity:
        # Told once, to everybody who knows of the problem, whoever would be told of a new one. A card that comes late
        # does not call that a replacement which has ended meanwhile.
        return Reason.REPLACED
    if finding.severity < policy.min_severity or (receiver not in receivers(finding) and not standby):
        return Reason.NONE
    if silenced(finding, now, policy.silences):
        return Reason.NONE
    spoke = ended(finding, now, policy.silences)
    if last is None and spoke and spoke > finding.first_seen:
        return Reason.SILENCE_ENDED
    if last is None or last.reason is Reason.REPLACED:
        return Reason.NEW
    if finding.severity > last.severity:
        return Reason.RAISED
    reached = tier(finding, now, policy)
    if reached is not None and (last.tier is None or finding.expires_on != last.expires_on or reached < last.tier):
        return Reason.TIER
    repeated = now - last.when >= policy.repeat
    if repeated and last.counted and not reached:
        # There is no next tier in which it could be shown.
        return Reason.NEW
    if not reached and spoke and spoke - last.when >= policy.repeat:
        # Nothing else would say that it still stands; what was told shortly before the silence is not said again.
        return Reason.SILENCE_ENDED
    return Reason.REMINDER if repeated and finding.severity is Severity.CRITICAL else Reason.NONE


def entries(
    findings: Iterable[Finding],
    receiver: str,
    now: datetime,
    policy: Policy,
    covers: Mapping[str, frozenset[str]],
    *,
    standby: bool = False,
) -> tuple[Entry, ...]:
    """What a receiver should be told now, in no order; `covers` is the answer of covered()."""
    hidden = covers.get(receiver, frozenset())
    result = []
    for finding in findings:
        why = reason(finding, receiver, now, policy, standby=standby)
        # A finding that a worse one already tells stays silent, but its end is told to who knew of it.
        if why is not Reason.NONE and not (finding.open and finding.fingerprint in hidden):
            result.append(Entry(finding=finding, reason=why, tier=tier(finding, now, policy)))
    return tuple(result)


def audience(finding: Finding) -> frozenset[str]:
    """Every receiver that may have to hear of a finding: who should, and who was told before."""
    return frozenset(receivers(finding)) | {notice.receiver for notice in finding.announced}


def due(findings: Sequence[Finding], now: datetime, policy: Policy) -> Mapping[str, datetime | None]:
    """The fingerprints of the findings that somebody should be told of, and from when if that is later than now.

    A pending one is due too: settle has to look before it tells.
    """
    covers = covered(findings, policy)
    found: dict[str, datetime | None] = {}
    for finding in findings:
        later = finding.not_before if finding.open and finding.not_before and finding.not_before > now else None
        asked = replace(finding, pending=False)
        if any(entries((asked,), receiver, later or now, policy, covers) for receiver in audience(finding)):
            found[finding.fingerprint] = later
    return found


def alert(receiver: str, entries: Iterable[Entry]) -> Alert | None:
    """One receiver's entries as an alert, worst first; None if there is nothing to say."""
    every = tuple(entries)
    problems = sorted((entry for entry in every if entry.reason not in _CLOSING), key=_urgency)
    closed = sorted((entry for entry in every if entry.reason in _CLOSING), key=_urgency)
    if not every:
        return None
    return Alert(
        receiver=receiver,
        shown=tuple(problems[:SHOWN]),
        counted=tuple(problems[SHOWN:]),
        closed=tuple(closed),
    )


def _urgency(entry: Entry) -> tuple[int, float, str, str]:
    end = entry.finding.expires_on
    return (
        -entry.finding.severity,
        end.timestamp() if end else float("inf"),
        entry.finding.resource_name.lower(),
        entry.finding.fingerprint,
    )


def told(entry: Entry, receiver: str, now: datetime, *, counted: bool) -> Finding:
    """The finding of an entry after a receiver accepted the card that carries it."""
    last = last_notice(entry.finding, receiver)
    shown = last is not None and not last.counted and last.reason not in _CLOSING
    notice = Notice(
        receiver=receiver,
        reason=entry.reason,
        severity=entry.finding.severity,
        when=now,
        tier=entry.tier,
        expires_on=entry.finding.expires_on,
        counted=counted and not shown,
    )
    others = tuple(one for one in entry.finding.announced if one.receiver != receiver)
    announced = tuple(sorted((*others, notice), key=lambda one: one.receiver))
    found = replace(entry.finding, announced=announced, revision=entry.finding.revision + 1)
    return found.remember(now, f"{receiver or 'fallback'} told: {entry.reason.value}" + " (counted)" * counted)
