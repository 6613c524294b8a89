"""What decides who may do what in Azure: frozen records of role assignments and of what they are about, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from sys import intern

from .scope import covers


class Level(StrEnum):
    """Where in ARM's hierarchy a scope is; OTHER is a tenant-level resource, as of billing."""

    ROOT = "root"
    MANAGEMENT_GROUP = "management group"
    SUBSCRIPTION = "subscription"
    RESOURCE_GROUP = "resource group"
    RESOURCE = "resource"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    """A role given to a principal at a scope.

    Source: https://learn.microsoft.com/rest/api/authorization/role-assignments.
    """

    id: str
    principal_id: str
    role_definition_id: str
    scope: str
    principal_type: str = ""
    condition: str = ""
    condition_version: str = ""
    listed_in: frozenset[str] = frozenset()
    """Subscription ids in whose listings it was seen.

    A listing holds the assignments of management groups above the subscription and of no other, so for those this is
    the only thing that tells where they reach; the hierarchy itself need not be readable.
    """

    @property
    def key(self) -> str:
        """What makes two rows the same assignment: services differ in the case of ids."""
        return intern(self.id.lower())

    @property
    def role_id(self) -> str:
        """The GUID of its role; the path before it differs between listings."""
        return last_segment(self.role_definition_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One block of a role: what it gives, and what of that it does not give."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    condition: str = ""
    """A few built-in roles carry a condition in the definition itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDefinition:
    """A built-in or custom role.

    Source: https://learn.microsoft.com/azure/role-based-access-control/role-definitions.
    """

    id: str
    name: str = ""
    custom: bool = False
    permissions: tuple[Permission, ...] = ()

    @property
    def role_id(self) -> str:
        """Its GUID, the same in every subscription."""
        return last_segment(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The groups that a principal is in, directly or through other groups; no record means that nobody read them.

    Source: https://learn.microsoft.com/graph/api/serviceprincipal-list-transitivememberof.
    """

    principal_id: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAssignedIdentity:
    """A user-assigned managed identity: as ARM has it, or as a cluster shows the one it was given.

    Source: https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities.
    """

    id: str
    client_id: str = ""
    principal_id: str = ""
    tenant_id: str = ""

    @property
    def name(self) -> str:
        """The last segment of its id."""
        return self.id.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedIdentityCredential:
    """What a user-assigned identity or an application trusts; a flexible one has an expression instead of a subject.

    Sources: https://learn.microsoft.com/rest/api/managedidentity/federated-identity-credentials and
    https://learn.microsoft.com/graph/api/resources/federatedidentitycredential.
    """

    id: str
    identity_id: str
    """The id of the identity that holds it, or the path of the application."""
    issuer: str
    subject: str = ""
    audiences: tuple[str, ...] = ()
    expression: str = ""
    app_id: str = ""
    """The client id of the application; empty for a user-assigned identity."""
    holder: str = ""
    """The name of the identity, or the display name of the application."""
    principal_id: str = ""
    """The object id of the application's service principal, where a cluster is behind it and it has one."""

    @property
    def name(self) -> str:
        """The last segment of its id."""
        return self.id.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A container registry and the kind of rights that it honours.

    Source: https://learn.microsoft.com/azure/container-registry/container-registry-rbac-abac-repository-permissions.
    """

    id: str
    name: str = ""
    login_server: str = ""
    abac: bool = False
    """roleAssignmentMode is AbacRepositoryPermissions: AcrPull, Reader, Contributor and Owner give no pull."""
    anonymous: bool = False
    """Whether anybody may pull without signing in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet that node pools sit in, with what else must be joined to change it."""

    id: str
    route_table_id: str = ""
    nat_gateway_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who changed something in Azure: an object id, and a name to sign in with or an app id; no more personal data."""

    object_id: str = ""
    upn: str = ""
    app_id: str = ""
    confirmed: bool = False
    """Whether the activity log says so, and not only the event."""

    @property
    def label(self) -> str:
        """The best available text for a person to recognise the caller by."""
        if self.upn:
            return self.upn
        return f"app {self.app_id}" if self.app_id else self.object_id

    def differs(self, other: Caller) -> bool:
        """Whether this is surely somebody else."""
        pairs = ((self.object_id, other.object_id), (self.upn, other.upn), (self.app_id, other.app_id))
        return next((one.lower() != two.lower() for one, two in pairs if one and two), False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A role assignment that was deleted, as the activity log tells it."""

    assignment: RoleAssignment
    at: datetime
    by: Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineGrant:
    """A role assignment that a watched identity, or a group it is in, holds or held: a row of the baseline.

    It is never forgotten because a listing lacks it; then it is lost, and says since when.
    """

    assignment: RoleAssignment
    """As it was last; what lists it is where it reaches."""
    first_seen: datetime
    left: frozenset[str] = frozenset()
    """Ids of the subscriptions that listed it once and, when they were read last, did not: it reaches them no more."""
    via: tuple[str, ...] = ()
    """Object ids of the watched identities that were ever seen in the group that holds it; empty if one holds it."""
    deleted_at: datetime | None = None
    """When it was deleted, or when it was first missed; UTC."""
    deleted_after: datetime | None = None
    """The start of the last listing that saw it, when no event told the moment; while it is held, of the one that saw
    it come back."""
    deleted_by: Caller | None = None

    @property
    def lost(self) -> bool:
        """Whether it is gone."""
        return self.deleted_at is not None

    @property
    def ever(self) -> RoleAssignment:
        """The assignment, where it reaches or ever did."""
        return (
            replace(self.assignment, listed_in=self.assignment.listed_in | self.left) if self.left else self.assignment
        )

    @property
    def loss(self) -> str:
        """What makes two losses the same one: a re-creation has another id, so principal, role and scope do."""
        one = self.assignment
        return f"{one.principal_id}|{one.role_id}|{one.scope}".lower()

    @property
    def holders(self) -> tuple[str, ...]:
        """The lower-case object ids of the watched identities that it counted for."""
        return tuple(one.lower() for one in self.via or (self.assignment.principal_id,))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Access:
    """Who may do what, as far as clusters depend on it: one part of a snapshot."""

    assignments: tuple[RoleAssignment, ...] = ()
    """Of watched identities and of the groups they are in."""
    listed: frozenset[str] = frozenset()
    """Lower-case ids of the subscriptions whose assignments are known in full: elsewhere none is missing."""
    definitions: tuple[RoleDefinition, ...] = ()
    memberships: tuple[Membership, ...] = ()
    identities: tuple[UserAssignedIdentity, ...] = ()
    gone: frozenset[str] = frozenset()
    """Lower-case ids of identities that ARM says do not exist."""
    federated: tuple[FederatedIdentityCredential, ...] = ()
    registries: tuple[Registry, ...] = ()
    registries_of: frozenset[str] = frozenset()
    """Lower-case ids of the subscriptions whose registries are known in full."""
    subnets: tuple[Subnet, ...] = ()
    baseline: tuple[BaselineGrant, ...] = ()
    unasked: Mapping[str, str] = field(default_factory=dict)
    """Why ARM could not be asked whether the scope of a lost grant still exists, by lower-case scope."""


@lru_cache(maxsize=1024)
def same(*ids: str) -> frozenset[str]:
    """These ids as one set, whoever asks for it: thousands of role assignments are listed in the same subscriptions."""
    return frozenset(ids)


def last_segment(path: str) -> str:
    """The lower-case last segment of an id."""
    return path.rstrip("/").rsplit("/", 1)[-1].lower()


def level(scope: str) -> Level:
    """The level of a scope, whatever the case of its segments."""
    segments = scope.strip("/").lower().split("/")
    match segments:
        case [""]:
            return Level.ROOT if scope else Level.OTHER
        case ["providers", "microsoft.management", "managementgroups", _]:
            return Level.MANAGEMENT_GROUP
        case ["subscriptions", _]:
            return Level.SUBSCRIPTION
        case ["subscriptions", _, "resourcegroups", _]:
            return Level.RESOURCE_GROUP
        case ["subscriptions", _, *_]:
            return Level.RESOURCE
    return Level.OTHER


def subscription_of(scope: str) -> str:
    """The lower-case id of the subscription that a scope lies in; empty above subscriptions."""
    segments = scope.strip("/").lower().split("/")
    return segments[1] if segments[0] == "subscriptions" and len(segments) > 1 else ""


def one_line(condition: str) -> str:
    """The condition of a role assignment on one line; white space outside its literals means nothing.

    The portal writes them on many lines, and a command is one:
    https://learn.microsoft.com/azure/role-based-access-control/conditions-format
    """
    return _SPACE.sub(lambda match: match[1] or " ", condition).strip()


_SPACE = re.compile(r"('(?:[^'\\]|\\.)*')|\s+")

_ASSIGNMENT = re.compile(r"(.*)/providers/microsoft\.authorization/roleassignments/[^/]+/?", re.IGNORECASE | re.DOTALL)


def assignment_scope(assignment_id: str) -> str:
    """The scope that a role assignment's id names; empty if it is no such id.

    The last part counts: an assignment can be made on a resource whose own id holds the same words.
    """
    found = _ASSIGNMENT.fullmatch(assignment_id)
    return (found[1] or "/") if found else ""


def reaches(assignment: RoleAssignment, scope: str) -> bool | None:
    """Whether an assignment counts at a scope; None if that cannot be told.

    Downwards by segment; from the root, everywhere; from a management group, in the subscriptions that listed it.
    """
    if not assignment.scope:
        return None
    if covers(assignment.scope, scope):
        return True
    if level(assignment.scope) is not Level.MANAGEMENT_GROUP:
        return False
    subscription = subscription_of(scope)
    if not subscription or not assignment.listed_in:
        return None
    return any(subscription == listed.lower() for listed in assignment.listed_in)


def merged(assignments: Iterable[RoleAssignment]) -> tuple[RoleAssignment, ...]:
    """One row an assignment, with all its listings: an inherited one comes with every subscription below."""
    rows: dict[str, RoleAssignment] = {}
    for row in assignments:
        known = rows.setdefault(row.key, row)
        if not row.listed_in <= known.listed_in:
            rows[row.key] = replace(known, listed_in=known.listed_in | row.listed_in)
    return tuple(rows.values())
