"""Groups as Graph tells of them to an app that may read applications only: their ids, and nothing else.

https://learn.microsoft.com/graph/permissions-overview#limited-information-returned-for-inaccessible-member-objects
"""

from __future__ import annotations

from typing import Any

from .access import Group
from .directory import owner
from .tenant import Tenant

GROUP_READERS = {"Group.Read.All", "GroupMember.Read.All", "Directory.Read.All"}
_NULL = (
    "deletedDateTime",
    "classification",
    "createdDateTime",
    "description",
    "displayName",
    "groupTypes",
    "mail",
    "mailEnabled",
    "mailNickname",
    "onPremisesSyncEnabled",
    "securityEnabled",
    "securityIdentifier",
    "visibility",
)


def group(entity: Group, tenant: Tenant) -> dict[str, Any]:
    """A group as a member of a listing of directory objects."""
    shown: dict[str, Any] = {"@odata.type": "#microsoft.graph.group", "id": entity.id, **dict.fromkeys(_NULL)}
    if tenant.permissions & GROUP_READERS:
        shown |= {"displayName": entity.name, "groupTypes": [], "mailEnabled": False, "securityEnabled": True}
    return shown


def by_ids(wanted: list[str], tenant: Tenant) -> list[dict[str, Any]]:
    """The objects with these ids; those that do not exist are left out, without a word."""
    groups = {one.id: one for one in tenant.access.groups}
    users = {one.id for one in tenant.users}
    found = []
    for object_id in wanted:
        if object_id in groups:
            found.append(group(groups[object_id], tenant))
        elif object_id in users or tenant.service_principals.peek(object_id):
            found.append(owner(object_id, tenant))
    return found
