"""Role assignments and role definitions of Azure Resource Manager, through azure-mgmt-authorization.

A tenant has tens of thousands of assignments, and inherited ones come with every subscription: that listing is decoded
with msgspec, since the SDK's models cost forty times the CPU (docs/design.md).
https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-subscription and .../list-for-scope.
"""

from __future__ import annotations

from collections.abc import Container
from sys import intern
from typing import Any

import msgspec
from azure.mgmt.authorization.v2022_04_01.aio import AuthorizationManagementClient

from .. import sources
from ..access import Permission, RoleAssignment, RoleDefinition, last_segment, one_line, same, subscription_of
from ..model import TENANT, Unread
from .http import Arm, ReadError

READER = sources.ASSIGNMENTS.permission
_NOWHERE = "00000000-0000-0000-0000-000000000000"
"""The client wants a subscription id where none is needed."""


class _Properties(msgspec.Struct, rename="camel"):
    principal_id: str | None = None
    principal_type: str | None = None
    role_definition_id: str | None = None
    scope: str | None = None
    condition: str | None = None
    condition_version: str | None = None


class _Assignment(msgspec.Struct):
    id: str | None = None
    properties: _Properties = msgspec.field(default_factory=_Properties)


class _Page(msgspec.Struct):
    value: list[_Assignment]
    next_link: str | None = msgspec.field(default=None, name="nextLink")


_decode_page = msgspec.json.Decoder(_Page).decode


def role_assignment(item: Any, listed_in: str = "") -> RoleAssignment:
    """A role assignment of the SDK or of the wire as a record; raises ValueError for one without its ids."""
    if not _whole(item):
        raise ValueError("a role assignment without id, principal, role or scope")
    given = _given(item)
    return RoleAssignment(
        # A scan has each of them several times: listed, in the baseline, behind a cluster.
        id=intern(item.id),
        principal_id=intern(given.principal_id),
        principal_type=intern(given.principal_type or ""),
        role_definition_id=intern(given.role_definition_id),
        scope=intern(given.scope),
        condition=one_line(given.condition or ""),
        condition_version=given.condition_version or "",
        listed_in=same(listed_in) if listed_in else same(),
    )


def _given(item: Any) -> Any:
    # The SDK's models have the properties of `properties` themselves.
    return getattr(item, "properties", item)


def _whole(item: Any) -> bool:
    given = _given(item)
    return bool(item.id and given.principal_id and given.role_definition_id and given.scope)


def role_definition(item: Any) -> RoleDefinition:
    """A role definition of the SDK as a record; raises ValueError for one without an id."""
    if not item.id:
        raise ValueError("a role definition without an id")
    return RoleDefinition(
        id=item.id,
        name=item.role_name or "",
        custom=(item.role_type or "").lower() == "customrole",
        permissions=tuple(
            Permission(
                actions=tuple(block.actions or ()),
                not_actions=tuple(block.not_actions or ()),
                data_actions=tuple(block.data_actions or ()),
                not_data_actions=tuple(block.not_data_actions or ()),
                # Listed since a later API version than the one that the SDK speaks.
                condition=getattr(block, "condition", None) or "",
            )
            for block in item.permissions or ()
        ),
    )


class Rbac:
    """Reads who holds which role where; every method raises ReadError, or reports Unread where it lists."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def list_assignments(
        self, subscription_id: str, wanted: Container[str] | None = None
    ) -> tuple[list[RoleAssignment], list[Unread]]:
        """The role assignments of a subscription, inherited ones included, and what is missing.

        Only those that are wanted, if that is given: lower-case GUIDs, of who holds one or of the assignment itself.
        A listing that breaks off gives nothing but Unread: half of one would look like deletions.
        """
        scope = f"/subscriptions/{subscription_id}"
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
        found: list[RoleAssignment] = []
        broken = 0

        def take(body: bytes) -> str | None:
            nonlocal broken
            page = _decode_page(body)
            for item in page.value:
                if not _whole(item):
                    broken += 1
                elif (
                    wanted is None
                    or (item.properties.principal_id or "").lower() in wanted
                    or last_segment(item.id or "") in wanted
                ):
                    found.append(role_assignment(item, subscription_id))
            return page.next_link

        try:
            async with self._arm.reading(RoleAssignment, scope, READER):
                await self._arm.pages(path, "2022-04-01", take)
        except ReadError as error:
            return [], [error.unread]
        if broken:
            reason = f"{broken:,} role assignments of an unexpected shape"
            return [], [Unread(kind=RoleAssignment, scope=scope, reason=reason)]
        return found, []

    async def list_held_at(self, scope: str, principal_id: str) -> list[RoleAssignment]:
        """What a principal holds at a scope now: its own, inherited ones, and those of its groups, nested or not.

        What hangs on a management group surely reaches the subscription of the scope; the answer tells of no other.
        """
        client = self._arm.client(AuthorizationManagementClient, _NOWHERE)
        async with client, self._arm.reading(RoleAssignment, scope, READER):
            listing = client.role_assignments.list_for_scope(
                # Leading slash: the SDK puts the scope behind one of its own.
                scope.strip("/"),
                # An object id from ARM or Graph; a quote in it would end the literal.
                filter=f"atScope() and assignedTo('{principal_id.replace(chr(39), chr(39) * 2)}')",
                listing=True,
            )
            return [role_assignment(item, subscription_of(scope)) async for item in listing]

    async def get_definition(self, role_definition_id: str) -> RoleDefinition:
        """One role by its id; raises NotFoundError when ARM says that there is none."""
        client = self._arm.client(AuthorizationManagementClient, _NOWHERE)
        subscription = subscription_of(role_definition_id)
        scope = f"/subscriptions/{subscription}" if subscription else TENANT
        async with client, self._arm.reading(RoleDefinition, scope, sources.DEFINITIONS.permission):
            return role_definition(await client.role_definitions.get_by_id(role_definition_id.strip("/")))
