"""Azure's activity log: who deleted which role assignment, and what it was, through azure-mgmt-monitor.

The log lags behind by a minute or more; the ended event of a deletion holds the whole assignment as a text.
https://learn.microsoft.com/rest/api/monitor/activity-logs/list and
https://learn.microsoft.com/azure/role-based-access-control/change-history-report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.mgmt.monitor.aio import MonitorManagementClient

from .. import sources
from ..access import Caller, Deletion, RoleAssignment, last_segment, one_line
from .http import Arm

READER = sources.ACTIVITY.permission
DELETE = "microsoft.authorization/roleassignments/delete"
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_FIELDS = "authorization,caller,claims,eventTimestamp,operationName,properties,resourceId,status"


def caller(claims: Mapping[str, Any], fallback: str = "", *, confirmed: bool = False) -> Caller:
    """Who the claims of a token name: object id, and UPN or app id; the rest of them is nobody's business."""

    def text(name: str) -> str:
        value = claims.get(name)
        return value if isinstance(value, str) else ""

    upn = text(UPN)
    return Caller(
        object_id=text(OBJECT_ID) or (fallback if "@" not in fallback else ""),
        upn=upn or (fallback if "@" in fallback else ""),
        app_id="" if upn else text("appid"),
        confirmed=confirmed,
    )


def deletion(item: Any) -> Deletion | None:
    """A deleted role assignment from an entry of the log; None for any other entry.

    Deleting what does not exist succeeds too, and leaves no body behind.
    """
    name = (item.operation_name.value or "").lower() if item.operation_name else ""
    status = (item.status.value or "").lower() if item.status else ""
    if name != DELETE or status != "succeeded":
        return None
    body = {key.lower(): value for key, value in (item.properties or {}).items()}.get("responsebody")
    try:
        found = _lower(json.loads(body or "null"))
        inner = _lower(found["properties"])
        one = RoleAssignment(
            id=_text(found["id"]),
            principal_id=_text(inner["principalid"]),
            principal_type=_text(inner.get("principaltype") or ""),
            role_definition_id=_text(inner["roledefinitionid"]),
            scope=_text(inner["scope"]),
            condition=one_line(_text(inner.get("condition") or "")),
            condition_version=_text(inner.get("conditionversion") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    when = item.event_timestamp
    if not isinstance(when, datetime) or not last_segment(one.id):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return Deletion(assignment=one, at=when, by=caller(item.claims or {}, item.caller or "", confirmed=True))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _lower(found: Any) -> dict[str, Any]:
    """An object by lower-case names: clients differ in how they write them."""
    return {str(name).lower(): value for name, value in found.items()}


class Activity:
    """Reads the activity log; raises ReadError."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def list_deletions(self, subscription_id: str, since: datetime, until: datetime) -> list[Deletion]:
        """The role assignments that were deleted in a subscription in that time, as far as the log has them yet."""
        client = self._arm.client(MonitorManagementClient, subscription_id)
        condition = (
            f"eventTimestamp ge '{since:%Y-%m-%dT%H:%M:%SZ}' and "
            f"eventTimestamp le '{until + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}' and "
            "resourceProvider eq 'Microsoft.Authorization'"
        )
        async with client, self._arm.reading(Deletion, f"/subscriptions/{subscription_id}", READER):
            listing = client.activity_logs.list(condition, select=_FIELDS, listing=True)
            found = [deletion(item) async for item in listing]
        return [one for one in found if one]
