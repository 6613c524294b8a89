"""Findings: what the rules see now, compared with what is stored; nothing unread is ever resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from .model import Owner, Severity, Snapshot, covers, overlap
from .rule import Fact, Hit, Rule, fingerprint


class Status(StrEnum):
    """Where a finding stands; `aged-out` is an end long past, which nobody mended."""

    OPEN = "open"
    RESOLVED = "resolved"
    AGED_OUT = "aged-out"


class Reason(StrEnum):
    """Why something is announced, or why not; shown on the card and in the log."""

    NEW = "new"
    TIER = "nearer"
    RAISED = "raised"
    REMINDER = "reminder"
    SILENCE_ENDED = "silence-ended"
    REPLACED = "replaced"
    RESOLVED = "resolved"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The last thing a receiver was told of a finding, and accepted."""

    receiver: str
    reason: Reason
    severity: Severity
    when: datetime
    tier: int | None = None
    expires_on: datetime | None = None
    counted: bool = False
    """Whether cards only counted it so far, without ever showing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One line of a finding's history: what became of it, in words of ours."""

    when: datetime
    what: str


HISTORY = 40
"""How many lines of its history a finding keeps: the newest."""
INCLUDED = 900
"""How many others a finding includes at most: as many as its row holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem on one resource through all its life: a row of the table `findings`."""

    fingerprint: str
    rule: str
    severity: Severity
    resource_id: str
    resource_name: str
    title: str
    facts: Mapping[str, Fact]
    variant: str = ""
    status: Status = Status.OPEN
    expires_on: datetime | None = None
    superseded_on: datetime | None = None
    includes: tuple[str, ...] = ()
    owners: tuple[Owner, ...] = ()
    team: str = ""
    """The team whose channel is told; empty for the fallback."""
    team_note: str = ""
    """Why the card goes elsewhere than the resource's tag says."""
    first_seen: datetime
    changed: datetime
    resolved_at: datetime | None = None
    lost_at: datetime | None = None
    """When what is missing was lost, UTC."""
    not_before: datetime | None = None
    """Nothing is announced before this moment (grace)."""
    pending: bool = False
    """Whether it waits for a live look before anybody is told of it."""
    unconfirmed: str = ""
    """Why that look failed for so long that it is told all the same; empty if it did not."""
    accepted: str = ""
    """Who said that it is meant, and why; empty if nobody did."""
    announced: tuple[Notice, ...] = ()
    history: tuple[Past, ...] = field(default=(), compare=False)
    """It follows from everything else, so it makes no difference of its own."""
    published: datetime | None = None
    """The `changed` of the state that the topic accepted last."""
    revision: int = 1
    etag: str = field(default="", compare=False)
    """The row's version when it was read; empty for a finding not stored yet."""

    @property
    def open(self) -> bool:
        """Whether the problem still stands."""
        return self.status is Status.OPEN

    def remember(self, when: datetime, *lines: str) -> Finding:
        """The finding with more history; the oldest lines make room."""
        added = tuple(Past(when=when, what=line) for line in lines)
        return replace(self, history=(*self.history, *added)[-HISTORY:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What one scan saw: findings, ends that aged out, and what could not be decided."""

    findings: tuple[Finding, ...]
    aged_out: frozenset[str]
    undecided: frozenset[str]
    held: frozenset[str] = frozenset()
    """What is surely no problem, whatever else could not be read."""
    blind: frozenset[tuple[str, str]] = frozenset()
    """Rule and lower-case resource id of which nothing at all can be said."""


def evaluate(snapshot: Snapshot, rules: Iterable[Rule]) -> Observed:
    """Run every rule over a snapshot; a hit on absence counts only where everything was read."""
    findings: dict[str, Finding] = {}
    aged_out, undecided, held, blind = set(), set(), set(), set()
    for rule in rules:
        for hit in rule.check(snapshot):
            finding = _finding(rule, hit, snapshot)
            if hit.held:
                held.add(finding.fingerprint)
            elif hit.doubt and not hit.key:
                blind.add((rule.id, hit.resource_id.lower()))
            elif hit.doubt or any(
                unread.kind in rule.absence and overlap(unread.scope, hit.absent_in) for unread in snapshot.unread
            ):
                undecided.add(finding.fingerprint)
            elif hit.aged_out:
                aged_out.add(finding.fingerprint)
            else:
                # Two problems under one name are one row: the worse tells.
                findings[finding.fingerprint] = max(
                    findings.get(finding.fingerprint, finding), finding, key=lambda one: one.severity
                )
    return Observed(
        findings=tuple(findings.values()),
        aged_out=frozenset(aged_out - findings.keys()),
        undecided=frozenset(undecided),
        held=frozenset(held),
        blind=frozenset(blind),
    )


def _finding(rule: Rule, hit: Hit, snapshot: Snapshot) -> Finding:
    return Finding(
        fingerprint=fingerprint(rule.id, hit.resource_id, hit.key),
        rule=rule.id,
        severity=rule.severity if hit.severity is None else hit.severity,
        resource_id=hit.resource_id,
        resource_name=hit.resource_name,
        title=hit.title,
        facts=hit.facts,
        variant=hit.variant,
        expires_on=hit.expires_on,
        superseded_on=hit.superseded_on,
        includes=hit.includes[:INCLUDED],
        lost_at=hit.lost_at,
        not_before=hit.lost_at + snapshot.thresholds.grace if hit.lost_at else None,
        pending=rule.drift,
        first_seen=snapshot.taken,
        changed=snapshot.taken,
    )


def reconcile(
    stored: Sequence[Finding], observed: Observed, snapshot: Snapshot, rules: Iterable[Rule]
) -> tuple[Finding, ...]:
    """The findings as they should be stored now; one equal to its stored self needs no write.

    A finding that is not seen any more is resolved only if everything its rule reads was read.
    """
    by_id = {rule.id: rule for rule in rules}
    before = {finding.fingerprint: finding for finding in stored}
    now = snapshot.taken
    after: dict[str, Finding] = {}
    for seen in observed.findings:
        old = before.get(seen.fingerprint)
        if old and old.open and _ownerless(seen, snapshot):
            # Another team would be told of it as new, only because a tag could not be read.
            seen = replace(
                seen,
                # Who may be mentioned is what this scan read, and it read nobody.
                owners=tuple(replace(one, member=False) for one in old.owners),
                team=old.team,
                team_note=old.team_note,
            )
        after[seen.fingerprint] = _merge(old, seen, now) if old else seen
    for finding in stored:
        if finding.fingerprint in after:
            continue
        if finding.accepted and finding.fingerprint in observed.held:
            after[finding.fingerprint] = replace(finding, accepted="", changed=now, revision=finding.revision + 1)
        elif not finding.open or not _decidable(finding, observed, snapshot, by_id):
            after[finding.fingerprint] = finding
        else:
            aged = finding.fingerprint in observed.aged_out
            after[finding.fingerprint] = replace(
                finding,
                status=Status.AGED_OUT if aged else Status.RESOLVED,
                resolved_at=now,
                changed=now,
                revision=finding.revision + 1,
            )
    return tuple(_remembered(before.get(name), finding, now) for name, finding in after.items())


def _remembered(old: Finding | None, new: Finding, now: datetime) -> Finding:
    """The finding with what changed in its history: its status, severity and end."""
    if new is old:
        return new
    # What was closed says nothing of the severity and end that it comes back with.
    last = old if old and old.open else None
    lines = []
    if old is None or new.status is not old.status:
        lines.append(new.status.value)
    if new.open and (last is None or new.severity is not last.severity):
        lines.append(new.severity.label)
    if new.open and new.expires_on and (last is None or new.expires_on != last.expires_on):
        lines.append(f"ends {new.expires_on:%Y-%m-%d %H:%M} UTC")
    return new.remember(now, *lines) if lines else new


def _decidable(finding: Finding, observed: Observed, snapshot: Snapshot, rules: Mapping[str, Rule]) -> bool:
    rule = rules.get(finding.rule)
    if rule is None or finding.fingerprint in observed.undecided:
        # A rule of another version of this program: what wrote the row must judge it.
        return False
    if rule.drift and finding.fingerprint in observed.held:
        return True
    if rule.drift:
        # It says itself where it is blind; then only a cluster that was not read hides one of its findings.
        unseen = any(one.kind is rule.reads[0] and covers(one.scope, finding.resource_id) for one in snapshot.unread)
        return not unseen and (rule.id, finding.resource_id.lower()) not in observed.blind
    return not any(
        (unread.kind in rule.reads and _hides(unread.scope, finding.resource_id)) or unread.kind in rule.absence
        for unread in snapshot.unread
    )


def _ownerless(finding: Finding, snapshot: Snapshot) -> bool:
    return any(unread.kind is Owner and covers(unread.scope, finding.resource_id) for unread in snapshot.unread)


def _hides(scope: str, resource_id: str) -> bool:
    """Whether what is missing in a scope may have to do with a resource.

    A path of Entra and one of ARM say nothing of each other, and rules join the two.
    """
    return covers(scope, resource_id) or _tree(scope) != _tree(resource_id)


def _tree(path: str) -> list[str]:
    return path.lower().split("/")[:2]


def _merge(old: Finding, seen: Finding, now: datetime) -> Finding:
    """The stored finding with what is seen now; a problem that comes back starts its story again."""
    before = old.resolved_at and seen.lost_at and seen.lost_at <= old.resolved_at
    if old.accepted and (before or seen.variant in ("never", "left", "moved")):
        # Somebody said that the right is not needed; only what is held again and lost again is news.
        return old
    if not old.open:
        return replace(
            seen,
            first_seen=now,
            history=old.history,
            published=old.published,
            revision=old.revision + 1,
            etag=old.etag,
        )
    merged = replace(
        seen,
        first_seen=old.first_seen,
        # The log may name an earlier moment than the scan that first missed it, and no later one counts.
        lost_at=min(filter(None, (old.lost_at, seen.lost_at)), default=None),
        not_before=old.not_before,
        pending=old.pending,
        unconfirmed=old.unconfirmed,
        announced=old.announced,
        history=old.history,
        published=old.published,
        revision=old.revision,
        changed=old.changed,
        etag=old.etag,
    )
    if merged == old:
        return old
    return replace(merged, changed=now, revision=old.revision + 1)


class FingerprintError(ValueError):
    """No finding, or more than one, has a fingerprint that begins as it was given."""


def called(findings: Iterable[Finding], beginning: str) -> Finding:
    """The finding whose fingerprint begins like this; raises FingerprintError, which names the candidates."""
    text = beginning.strip().lower()
    found = [one for one in findings if text and one.fingerprint.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise FingerprintError(
            f"no stored finding has a fingerprint that begins with {beginning!r}: `findings --all` lists them"
        )
    some = "; ".join(f"{one.fingerprint} ({one.title[:80]})" for one in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    raise FingerprintError(f"{len(found)} findings begin with {beginning!r}, give more digits: {some}{more}")
