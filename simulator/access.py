"""Who may do what in a simulated tenant: role assignments, roles, Entra groups and management groups."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

ROOT = "/"
MANAGEMENT_GROUPS = "/providers/Microsoft.Management/managementGroups/"
ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments/"
_ROLES = Path(__file__).parent / "roles.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    """A role given to a principal at a scope; `role` is the GUID of the role."""

    name: str
    scope: str
    role: str
    principal_id: str
    principal_type: str = "ServicePrincipal"
    condition: str | None = None
    condition_version: str | None = None
    created: datetime
    created_by: str = ""

    @property
    def id(self) -> str:
        """The resource id; that of an assignment at the root begins with /providers."""
        return f"{self.scope.rstrip('/')}{ASSIGNMENTS}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDefinition:
    """A role; a custom one names the scopes in which it can be given."""

    name: str
    id: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    assignable_scopes: tuple[str, ...] = (ROOT,)
    custom: bool = False


@dataclass(kw_only=True)
class Group:
    """A security group of Entra; `members` are object ids of users, service principals and groups."""

    id: str
    name: str
    members: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class ManagementGroup:
    """A management group with the subscriptions directly in it; without a parent it is under the root."""

    name: str
    subscriptions: list[str] = field(default_factory=list)
    parent: str = ""

    @property
    def id(self) -> str:
        """The resource id, which is also the scope of assignments on it."""
        return MANAGEMENT_GROUPS + self.name


@cache
def built_in_roles() -> tuple[RoleDefinition, ...]:
    """The roles of roles.toml."""
    rows = tomllib.loads(_ROLES.read_text(encoding="utf-8"))["role"]
    return tuple(
        RoleDefinition(
            name=row["name"],
            id=row["id"],
            actions=tuple(row.get("actions", ())),
            not_actions=tuple(row.get("not_actions", ())),
            data_actions=tuple(row.get("data_actions", ())),
        )
        for row in rows
    )


def parts(scope: str) -> tuple[str, ...]:
    """The lower-case segments of a scope: none for the root."""
    return tuple(segment for segment in scope.lower().split("/") if segment)


class Access:
    """All of it, with the questions that Resource Manager and Graph answer about it."""

    def __init__(self) -> None:
        self.custom_roles: list[RoleDefinition] = []
        self.groups: list[Group] = []
        self.management_groups: list[ManagementGroup] = []
        self.version = 0
        """Counts the changes of assignments: what was worked out for one version holds until the next."""
        self.ghosts: list[tuple[RoleAssignment, datetime]] = []
        """Deleted assignments and when they were deleted: a replica may show them for a while."""
        self._assignments: dict[str, RoleAssignment] = {}
        self._held: dict[str, dict[str, RoleAssignment]] = {}
        """The same by the lower-case id of the principal."""

    def __iter__(self) -> Iterator[RoleAssignment]:
        return iter(list(self._assignments.values()))

    def __len__(self) -> int:
        return len(self._assignments)

    def put(self, *assignments: RoleAssignment) -> None:
        """Add assignments, or replace those with the same ids."""
        for one in assignments:
            self._take(one.id.lower())
            self._assignments[one.id.lower()] = one
            self._held.setdefault(one.principal_id.lower(), {})[one.id.lower()] = one
        self.version += 1

    def remove(self, assignment_id: str) -> RoleAssignment | None:
        """Take an assignment away, and give what it was."""
        self.version += 1
        return self._take(assignment_id.lower())

    def _take(self, key: str) -> RoleAssignment | None:
        gone = self._assignments.pop(key, None)
        if gone:
            del self._held[gone.principal_id.lower()][key]
        return gone

    def find(self, assignment_id: str) -> RoleAssignment | None:
        """The assignment of that id, whatever its case."""
        return self._assignments.get(assignment_id.lower())

    def role(self, name: str) -> RoleDefinition:
        """The role of that name, GUID or id."""
        wanted = name.rpartition("/")[2].lower()
        for one in (*built_in_roles(), *self.custom_roles):
            if wanted == one.id.lower() or name == one.name:
                return one
        raise KeyError(name)

    def of(self, principals: Iterable[str]) -> list[RoleAssignment]:
        """The assignments of these principals themselves."""
        return [one for principal in principals for one in list(self._held.get(principal.lower(), {}).values())]

    def memberships(self, object_id: str) -> list[Group]:
        """The groups that something is in, directly or through others; a group in itself is no endless loop."""
        found: dict[str, Group] = {}
        members = {object_id.lower()}
        while members:
            above = [
                group
                for group in self.groups
                if group.id.lower() not in found and any(one.lower() in members for one in group.members)
            ]
            found.update((group.id.lower(), group) for group in above)
            members = {group.id.lower() for group in above}
        return list(found.values())

    def covering(self, scope: str) -> Covering:
        """The test whether an assignment's scope is at or above a scope."""
        return Covering(parts(scope), frozenset(parts(one.id) for one in self.above(scope)))

    def above(self, scope: str) -> list[ManagementGroup]:
        """The management groups over a scope, the nearest first."""
        segments = parts(scope)
        found: list[ManagementGroup] = []
        if segments[:1] == ("subscriptions",):
            found = [one for one in self.management_groups if segments[1] in map(str.lower, one.subscriptions)]
        elif segments[:3] == parts(MANAGEMENT_GROUPS):
            found = [one for one in self.management_groups if one.name.lower() == segments[3]]
        while found and found[-1].parent:
            found.append(next(one for one in self.management_groups if one.name == found[-1].parent))
        return found


@dataclass(frozen=True)
class Covering:
    """Whether scopes are at or above one scope, or below it."""

    scope: tuple[str, ...]
    management_groups: frozenset[tuple[str, ...]]

    def above(self, scope: str) -> bool:
        """Whether that scope is this one or one above it."""
        segments = parts(scope)
        return self.scope[: len(segments)] == segments or segments in self.management_groups

    def below(self, scope: str) -> bool:
        """Whether that scope is this one or lies in it."""
        return parts(scope)[: len(self.scope)] == self.scope
