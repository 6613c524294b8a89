"""A rule: a pure function from a Snapshot to Hits, with the runbook that its cards show."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .model import TENANT, Severity, Snapshot

HANDBOOK = ""
"""The address at which anybody can read docs/rules.md; empty while it is nowhere but in the source."""

Fact = str | Sequence[str]
"""What a placeholder of a command stands for: one shell word, or any number of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """What a person is told of a finding; `{name}` in a command is a fact, one whole shell word."""

    symptom: str
    cause: str
    confirm: str
    """Read-only commands, one a line."""
    fix: str
    """The smallest change that mends it, one command a line; empty if no command can."""
    durable: str = ""
    """The change after which it cannot come back."""
    caveat: str = ""
    """What the commands do besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One problem that a rule found in a snapshot."""

    resource_id: str
    resource_name: str
    key: str
    """Tells apart the problems of one rule on one resource; nothing volatile."""
    title: str
    """One sentence for a person; holds text from the tenant, so it is never markup."""
    facts: Mapping[str, Fact]
    severity: Severity | None = None
    """None: the severity of the rule."""
    expires_on: datetime | None = None
    """The end that the notice tiers count down to."""
    superseded_on: datetime | None = None
    """The end of the credential that replaces this one, if one does; NEVER if that has none."""
    aged_out: bool = False
    """An end so long past that it is a leftover: closes a finding silently, opens none."""
    variant: str = ""
    """Which of the rule's runbooks applies."""
    includes: tuple[str, ...] = ()
    """Fingerprints of findings that this one already tells."""
    absent_in: str = TENANT
    """Where a rule that fires on absence looked and found nothing."""
    lost_at: datetime | None = None
    """When what is missing was lost, UTC; the grace begins then."""
    held: bool = False
    """No problem either, and surely so: what is open under this key is resolved."""
    doubt: str = ""
    """No problem, but why nothing can be said of this resource, or of this key of it: what is open stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as it is listed in RULES and in docs/rules.md."""

    id: str
    summary: str
    check: Callable[[Snapshot], Iterator[Hit]]
    reads: tuple[type, ...]
    """Record types it looks at; nothing of these that is unread is ever resolved."""
    absence: tuple[type, ...]
    """Record types whose absence it reports; it is not evaluated where these are unread."""
    severity: Severity
    title: str
    runbooks: Mapping[str, Runbook]
    docs: str
    severities: str
    """How the severity is chosen, for the documentation."""
    drift: bool = False
    """Whether it judges rights: it says itself what it could not decide, and is asked once more before it is told."""

    @property
    def section(self) -> str:
        """The section of docs/rules.md about it, for a person."""
        return f"docs/rules.md, section {self.id}"

    @property
    def link(self) -> str:
        """The address of that section; empty while the handbook has none."""
        return f"{HANDBOOK}#{self.id}" if HANDBOOK else ""

    def runbook(self, variant: str = "") -> Runbook:
        """The runbook of a variant, or the general one if there is none of that name."""
        return self.runbooks.get(variant) or self.runbooks[""]


def rule(
    *,
    reads: tuple[type, ...],
    severity: Severity,
    title: str,
    runbook: Runbook,
    docs: str,
    severities: str,
    absence: tuple[type, ...] = (),
    variants: Mapping[str, Runbook] | None = None,
    drift: bool = False,
) -> Callable[[Callable[[Snapshot], Iterator[Hit]]], Rule]:
    """Declare a rule; the function's name is its id and its docstring the summary."""

    def declare(check: Callable[[Snapshot], Iterator[Hit]]) -> Rule:
        return Rule(
            id=check.__name__,
            summary=(check.__doc__ or "").strip(),
            check=check,
            reads=reads,
            absence=absence,
            severity=severity,
            title=title,
            runbooks={"": runbook, **(variants or {})},
            docs=docs,
            severities=severities,
            drift=drift,
        )

    return declare


def fingerprint(rule_id: str, resource_id: str, key: str) -> str:
    """The stable name of a problem: 32 hex digits, a legal RowKey, without anything volatile."""
    text = f"{rule_id}\n{resource_id.lower()}\n{key.lower()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def placeholders(template: str) -> frozenset[str]:
    """The names of the facts that a command template needs."""
    return frozenset(_PLACEHOLDER.findall(template))


def commands(template: str, facts: Mapping[str, Fact]) -> tuple[str, ...]:
    """The commands of a template with their facts as quoted shell words; raises KeyError for a missing fact.

    A fact may hold a line break, so the commands stay apart: joined as lines they could not be told from it.
    """

    def word(match: re.Match[str]) -> str:
        value = facts[match[1]]
        return shlex.quote(value) if isinstance(value, str) else shlex.join(value)

    return tuple(_PLACEHOLDER.sub(word, line).rstrip() for line in template.strip().splitlines())


def command(template: str, facts: Mapping[str, Fact]) -> str:
    """The commands of a template as one text, one a line."""
    return "\n".join(commands(template, facts))


def date_text(moment: datetime) -> str:
    """A date as cards and titles write it, in UTC."""
    return f"{moment:%a} {moment.day} {moment:%b %Y}"
