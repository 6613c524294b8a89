"""What a try of every read found: which rules are blind because of it, and what mends that; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from .access import Caller, subscription_of
from .model import SIGNED_OUT, TENANT, Unread
from .rule import Rule
from .sources import SOURCES, Service, Source, blind


class Outcome(StrEnum):
    """How a try ended."""

    WORKS = "works"
    REFUSED = "refused"
    FAULT = "fault"
    """It may work the next time."""
    WRONG = "wrong"
    """A setting that stops something."""
    UNTRIED = "not tried"
    """There is nothing there to try it on, or what leads to it could not be read."""
    OFF = "off"
    """Not set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One try of one source at one scope."""

    what: str
    outcome: Outcome
    scope: str = TENANT
    reason: str = ""
    source: Source | None = None
    rules: tuple[str, ...] = ()
    """The rules that are blind because of it, at that scope."""
    command: str = ""
    """What grants the permission, one command a line; empty if no permission is missing."""

    @property
    def no_token(self) -> str:
        """Why there was no token to try it with; empty if there was one."""
        return self.reason.partition(SIGNED_OUT)[2]


STORELESS = "`scan --dry-run`, `impact`, `report`, `preflight` and `webhook-test` need none"
"""What goes without storage."""

UNKNOWN = "PRINCIPAL_OBJECT_ID"
"""Stands in a command for the object id of the app's identity where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """All that was tried."""

    identity: Caller
    """Whom they were tried as."""
    as_app: bool
    """Whether that is the app; the rights of whoever is signed in to the Azure CLI say nothing of the app's."""
    checks: tuple[Check, ...]

    @property
    def blind(self) -> dict[str, tuple[Check, ...]]:
        """The blind rules, each with the checks that say why."""
        found: dict[str, list[Check]] = {}
        for one in self.checks:
            for name in one.rules:
                found.setdefault(name, []).append(one)
        return {name: tuple(checks) for name, checks in sorted(found.items())}

    @property
    def faults(self) -> bool:
        """Whether something failed that may pass."""
        return any(one.outcome is Outcome.FAULT for one in self.checks)

    @property
    def wrong(self) -> bool:
        """Whether a setting is wrong."""
        return any(one.outcome is Outcome.WRONG for one in self.checks)


def works(source: Source, scope: str = TENANT, reason: str = "") -> Check:
    """A read that was answered."""
    return Check(what=source.name, outcome=Outcome.WORKS, scope=scope, reason=reason, source=source)


def untried(source: Source, scope: str, why: str) -> Check:
    """A read that was not tried, and why."""
    return Check(what=source.name, outcome=Outcome.UNTRIED, scope=scope, reason=why, source=source)


def failed(source: Source, unread: Unread, rules: Iterable[Rule], principal_id: str, graph: str) -> Check:
    """A read that failed: refused, which blinds rules, or by a fault that may pass."""
    if unread.passing:
        return Check(what=source.name, outcome=Outcome.FAULT, scope=unread.scope, reason=unread.reason, source=source)
    place = subscription_of(unread.scope)
    scope = f"/subscriptions/{place}" if place else TENANT
    # At the tenant's scope there is no one place to grant Reader: the administrator chooses.
    where = "/providers/Microsoft.Management/managementGroups/MANAGEMENT_GROUP_ID" if scope == TENANT else scope
    return Check(
        what=source.name,
        outcome=Outcome.REFUSED,
        scope=scope,
        reason=unread.reason,
        source=source,
        rules=blind(source, rules),
        command=source.command(principal_id or UNKNOWN, where, graph) if unread.permission else "",
    )


def nothing(check: Check, rules: Iterable[Rule]) -> Check:
    """The check of a scope in which nothing of Azure can be read: every rule that reads any of it is blind there."""
    every = tuple(rules)
    found = {name for one in SOURCES if one.service is Service.ARM for name in blind(one, every)}
    return replace(check, rules=tuple(one.id for one in every if one.id in found))
