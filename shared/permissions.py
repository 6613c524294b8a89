"""May a principal do an action at a scope: Azure RBAC as far as the listings tell it; no I/O.

Source: https://learn.microsoft.com/azure/role-based-access-control/overview and .../role-definitions. Deny assignments,
eligible (PIM) assignments and Lighthouse delegations are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import lru_cache

from .access import Membership, Permission, RoleAssignment, RoleDefinition, merged, reaches


class Verdict(IntEnum):
    """Whether something is allowed; ordered by how sure that is."""

    NO = 0
    UNKNOWN = 1
    """Something that decides it was not read: never a reason for an alarm."""
    MAYBE = 2
    """Under a condition, which is not evaluated: said, not alarmed."""
    YES = 3

    @property
    def label(self) -> str:
        """The lower-case word used in tables and reports."""
        return self.name.lower()


class Doubt(StrEnum):
    """Why a verdict is neither yes nor no."""

    CONDITION = "only under a condition"
    ROLE = "a role definition could not be read"
    GROUPS = "the groups of the principal could not be read"
    REACH = "which subscriptions a management group holds could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role assignment and its role, as one principal holds it; `definition` is None if the role was not read."""

    assignment: RoleAssignment
    definition: RoleDefinition | None = None
    group: str = ""
    """The group that holds it; empty if the principal itself does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A verdict with its evidence."""

    verdict: Verdict
    grants: tuple[Grant, ...] = ()
    """What gives the verdict; all that give it, since any one may go without harm if another stays."""
    missing: tuple[str, ...] = ()
    """The actions that are not surely allowed."""
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class Grants:
    """Every grant by the lower-case id of the principal or group that holds it, and who is in which group."""

    held: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, principal_id: str) -> tuple[Grant, ...]:
        """The grants that count for a principal: its own and those of its groups."""
        principal = principal_id.lower()
        through = (
            Grant(assignment=grant.assignment, definition=grant.definition, group=group)
            for group in self.groups.get(principal, ())
            for grant in self.held.get(group, ())
        )
        return (*self.held.get(principal, ()), *through)

    def complete(self, principal_id: str) -> bool:
        """Whether the groups of a principal were read."""
        return principal_id.lower() in self.groups


def grants(
    assignments: Iterable[RoleAssignment], definitions: Iterable[RoleDefinition], memberships: Iterable[Membership]
) -> Grants:
    """Role assignments, joined with their roles and with who is in which group."""
    roles = {definition.role_id: definition for definition in definitions}
    held: dict[str, list[Grant]] = {}
    for row in merged(assignments):
        grant = Grant(assignment=row, definition=roles.get(row.role_id))
        held.setdefault(row.principal_id.lower(), []).append(grant)
    return Grants(
        held={principal: tuple(rows) for principal, rows in held.items()},
        groups={
            row.principal_id.lower(): tuple(dict.fromkeys(group.lower() for group in row.groups)) for row in memberships
        },
    )


_PIECE = re.compile(r"/\*(?=/)|\*|/|[^*/]+")


@lru_cache(maxsize=8192)
def matches(pattern: str, action: str) -> bool:
    """Whether an action string of a role covers an action: `*` stands for any text, `/` included.

    `/*/` stands for one slash too. Managed Identity Operator holds `userAssignedIdentities/*/assign/action`, and Azure
    takes that for `userAssignedIdentities/assign/action`; Virtual Machine User Login reads machines by
    `virtualMachines/*/read`. A set of positions instead of a regular expression: custom roles are text that anybody
    may have written, and no pattern makes this slow.
    """
    text = action.lower()
    places = {0}
    for piece in _PIECE.findall(pattern.lower()):
        if piece == "*":
            places = set(range(min(places), len(text) + 1))
        elif piece == "/*":
            slashes = [place for place in places if text.startswith("/", place)]
            places |= set(range(min(slashes) + 1, len(text) + 1)) if slashes else set()
        else:
            places = {place + len(piece) for place in places if text.startswith(piece, place)}
        if not places:
            return False
    return len(text) in places


def permits(definition: RoleDefinition, action: str, *, data: bool = False) -> Verdict:
    """Whether a role gives an action: NotActions take away within their own block only, blocks add up."""
    verdicts = (
        Verdict.MAYBE if block.condition else Verdict.YES
        for block in definition.permissions
        if _allows(block, action, data)
    )
    return max(verdicts, default=Verdict.NO)


def _allows(block: Permission, action: str, data: bool) -> bool:
    given = block.data_actions if data else block.actions
    taken = block.not_data_actions if data else block.not_actions
    return any(matches(one, action) for one in given) and not any(matches(one, action) for one in taken)


def may(
    granted: Grants,
    principal_id: str,
    action: str,
    scope: str,
    *,
    data: bool = False,
    without: Collection[str] = (),
) -> Answer:
    """Whether a principal may do an action at a scope, if the assignments `without` (ids) were gone."""
    gone = {assignment_id.lower() for assignment_id in without}
    best, evidence, doubts = Verdict.NO, list[Grant](), dict[Doubt, None]()
    for grant in granted.of(principal_id):
        if grant.assignment.key in gone:
            continue
        verdict, doubt = _judge(grant, action, scope, data)
        if verdict > best:
            best, evidence, doubts = verdict, [], {}
        if verdict is best and verdict is not Verdict.NO:
            evidence.append(grant)
            if doubt:
                doubts[doubt] = None
    if best is Verdict.NO and not granted.complete(principal_id):
        best, doubts = Verdict.UNKNOWN, {Doubt.GROUPS: None}
    missing = () if best is Verdict.YES else (action,)
    return Answer(verdict=best, grants=tuple(evidence), missing=missing, doubts=tuple(doubts))


def _judge(grant: Grant, action: str, scope: str, data: bool) -> tuple[Verdict, Doubt | None]:
    reach = reaches(grant.assignment, scope)
    if reach is False:
        return Verdict.NO, None
    if grant.definition is None:
        return Verdict.UNKNOWN, Doubt.ROLE
    given = permits(grant.definition, action, data=data)
    if given is Verdict.NO:
        return Verdict.NO, None
    if reach is None:
        return Verdict.UNKNOWN, Doubt.REACH
    if given is Verdict.MAYBE or grant.assignment.condition:
        return Verdict.MAYBE, Doubt.CONDITION
    return Verdict.YES, None


def may_all(
    granted: Grants,
    principal_id: str,
    actions: Iterable[str],
    scope: str,
    *,
    data_actions: Iterable[str] = (),
    without: Collection[str] = (),
) -> Answer:
    """Whether a principal may do every one of these; different grants may give different ones."""
    answers = [may(granted, principal_id, action, scope, without=without) for action in actions]
    answers += [may(granted, principal_id, action, scope, data=True, without=without) for action in data_actions]
    evidence = {grant.assignment.key: grant for answer in answers for grant in answer.grants}
    return Answer(
        verdict=min((answer.verdict for answer in answers), default=Verdict.YES),
        grants=tuple(evidence.values()),
        missing=tuple(action for answer in answers for action in answer.missing),
        doubts=tuple(dict.fromkeys(doubt for answer in answers for doubt in answer.doubts)),
    )


def equivalent(granted: Grants, principal_id: str, lost: RoleAssignment, role: RoleDefinition | None) -> bool:
    """Whether a principal holds, by whatever grants, all that an assignment of a role gave where it gave it.

    Patterns are compared as texts: `*` covers `Microsoft.Network/*`, two halves of a role do not add up to its `*`. A
    grant under a condition counts only if what was lost had the same one. Without `role` only the same role counts.
    """
    held = [
        grant
        for grant in granted.of(principal_id)
        if grant.assignment.condition in ("", lost.condition) and reaches(grant.assignment, lost.scope)
    ]
    if any(grant.assignment.role_id == lost.role_id for grant in held):
        return True
    blocks = [block for grant in held if grant.definition for block in grant.definition.permissions]
    wanted = [(block, one, False) for block in (role.permissions if role else ()) for one in block.actions]
    wanted += [(block, one, True) for block in (role.permissions if role else ()) for one in block.data_actions]
    return bool(wanted) and all(
        any(_includes(block, pattern, part, data) for block in blocks) for part, pattern, data in wanted
    )


def _includes(block: Permission, pattern: str, part: Permission, data: bool) -> bool:
    """Whether a block gives all that a pattern of another role's part gives, and leaves out nothing more of it."""
    given, taken = (block.data_actions, block.not_data_actions) if data else (block.actions, block.not_actions)
    left_out = part.not_data_actions if data else part.not_actions
    return (
        not block.condition
        and any(matches(one, pattern) for one in given)
        and all(_apart(one, pattern) or any(matches(other, one) for other in left_out) for one in taken)
    )


def _apart(one: str, other: str) -> bool:
    """Whether surely no action is covered by both patterns."""
    if "*" not in one or "*" not in other:
        return not matches(one, other) and not matches(other, one)
    heads = [text.lower().partition("*")[0] for text in (one, other)]
    tails = [text.lower().rpartition("*")[2] for text in (one, other)]
    begin = heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])
    end = tails[0].endswith(tails[1]) or tails[1].endswith(tails[0])
    return not (begin and end)
