"""Event Grid's events of Resource Manager: what changed, and who says so; a hint, never proof.

The event names the resource and the caller, not the principal, role or scope that was lost:
https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions. Both schemas are understood, the text of
`data`, `authorization` and `claims` as an object or as JSON, and every id in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from .access import Caller, subscription_of


class Change(StrEnum):
    """What happened, as far as it can matter to a cluster; the values are ARM's operations."""

    GRANT_DELETED = "Microsoft.Authorization/roleAssignments/delete"
    GRANT_WRITTEN = "Microsoft.Authorization/roleAssignments/write"
    IDENTITY_DELETED = "Microsoft.ManagedIdentity/userAssignedIdentities/delete"
    CLUSTER_WRITTEN = "Microsoft.ContainerService/managedClusters/write"
    CLUSTER_DELETED = "Microsoft.ContainerService/managedClusters/delete"


OPERATIONS = tuple(change.value for change in Change)
"""The operations that the event subscriptions let through (infra/events)."""

_BY_NAME = {change.value.lower(): change for change in Change}
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
_KEPT_CLAIMS = (_OBJECT_ID, _UPN, "appid")
_KEPT = ("operationName", "resourceUri", "status", "subscriptionId", "tenantId", "correlationId")
_LONGEST = 2_000
"""The longest text of an event that is kept; ids are far shorter."""
_ON_THE_WAY = timedelta(days=3)
"""How long an event may take: Event Grid delivers for a day, and a dead letter may be put in by hand."""


class EventError(ValueError):
    """An event that cannot be understood, and why; trying it again cannot help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange:
    """One event, as far as it matters."""

    change: Change
    resource_id: str
    at: datetime | None
    """When it happened, by Event Grid's clock, UTC."""
    by: Caller

    @property
    def subscription_id(self) -> str:
        """The lower-case id of the subscription in which it happened."""
        return subscription_of(self.resource_id)

    def received(self, moment: datetime) -> RoleChange:
        """The change as it arrived at a moment: a time far from that is not known, and none is later."""
        if self.at is None or abs(self.at - moment) > _ON_THE_WAY:
            return replace(self, at=None)
        return replace(self, at=min(self.at, moment))


def received(event: Any) -> dict[str, Any]:
    """What the Functions library made of a delivery, in either schema, by the names of Event Grid's own."""
    names = ("id", "subject", "event_type", "type", "event_time", "time")
    found = {name: getattr(event, name, None) for name in names}
    texts = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in found.items()}
    return {**texts, "data": event.get_json()}


def stripped(event: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an event: the claims name a person and hold more of them than is anybody's business."""
    kept: dict[str, Any] = {
        "id": _text(event, "id"),
        "eventType": _text(event, "eventType", "event_type", "type"),
        "eventTime": _text(event, "eventTime", "event_time", "time"),
        "subject": _text(event, "subject"),
    }
    data = _object(event.get("data"))
    if data is None:
        return {**kept, "data": None}
    claims = _object(data.get("claims")) or {}
    authorization = _object(data.get("authorization")) or {}
    return {
        **kept,
        "data": {
            **{name: _text(data, name) for name in _KEPT},
            "authorization": {name: _text(authorization, name) for name in ("action", "scope")},
            "claims": {name: _text(claims, name) for name in _KEPT_CLAIMS if _text(claims, name)},
        },
    }


def decode(event: Mapping[str, Any]) -> RoleChange | None:
    """The change that an event tells of, None for one that is none of ours; raises EventError."""
    event = stripped(event)
    data = event["data"]
    if data is None:
        raise EventError("it has no data")
    if event["eventType"] and not event["eventType"].lower().endswith("success"):
        return None
    operation = data["operationName"] or data["authorization"]["action"]
    if not operation:
        raise EventError("it names no operation")
    change = _BY_NAME.get(operation.lower())
    if change is None:
        return None
    resource_id = data["resourceUri"] or event["subject"] or data["authorization"]["scope"]
    if not resource_id:
        raise EventError("it names no resource")
    if not subscription_of(resource_id):
        raise EventError("its resource lies in no subscription")
    kind = change.value.rpartition("/")[0].lower()
    if f"/providers/{kind}/" not in resource_id.lower():
        raise EventError("its resource is not of the kind that its operation names")
    claims = data["claims"]
    upn = claims.get(_UPN, "")
    by = Caller(object_id=claims.get(_OBJECT_ID, ""), upn=upn, app_id="" if upn else claims.get("appid", ""))
    return RoleChange(change=change, resource_id=resource_id, at=_moment(event["eventTime"]), by=by)


def _object(value: Any) -> dict[str, Any] | None:
    """An object, or the JSON text of one; None for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _text(found: Mapping[str, Any], *names: str) -> str:
    value = next((found[name] for name in names if isinstance(found.get(name), str)), "")
    return value[:_LONGEST]


def _moment(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
