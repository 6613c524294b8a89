"""Microsoft.Insights: the activity log of a subscription, with its lag and its narrow filter.

https://learn.microsoft.com/rest/api/monitor/activity-logs/list, and recorded entries.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from .entities import derived
from .operation import Operation
from .replies import SUBSCRIPTION, Match, Route, error, page
from .world import Call, Reply, World

_NAMES = {
    "correlationid": lambda one: one.id,
    "resourceuri": lambda one: one.resource_id,
    "resourcegroupname": lambda one: one.group,
    "resourceprovider": lambda one: one.provider,
}
_CLAUSE = re.compile(r"\s*(\w+)\s+(eq|ge|le)\s+(?:'([^']*)'|(\S+))\s*")
PAGE = 200
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)


class BadFilterError(Exception):
    """A $filter that the service refuses."""


class ActivityLog:
    """Answers for the log of one subscription."""

    def __init__(self, world: World) -> None:
        self._world = world
        path = rf"{SUBSCRIPTION}/providers/Microsoft\.Insights/eventtypes/management/values"
        self.routes: tuple[Route, ...] = (("GET", path, self._list),)

    def _list(self, call: Call, match: Match) -> Reply:
        try:
            begin, end, name, value = _filter(call.query.get("$filter", ""))
        except BadFilterError as problem:
            return error(400, "BadRequest", str(problem))
        shown = []
        for one in reversed(self._world.tenant.log):
            wanted = one.subscription == match["subscription"].lower()
            if not wanted or one.at + self._world.activity_lag > self._world.now:
                continue
            if name and _NAMES[name](one).lower() != value.lower():
                continue
            for ended, at in ((True, one.at), (False, one.began)):
                if begin <= at <= end:
                    shown.append(self._entry(one, ended=ended))
        select = [item.strip() for item in call.query.get("$select", "").split(",") if item.strip()]
        if select:
            shown = [{name: entry[name] for name in select if name in entry} for entry in shown]
        return page(self._world, call, shown, size=PAGE)

    def _entry(self, one: Operation, *, ended: bool) -> dict[str, Any]:
        tenant = self._world.tenant
        at = one.at if ended else one.began
        mark = derived(tenant.id, "entry", one.id, str(ended))
        verb = "Delete" if one.method == "DELETE" else "Create"
        kind = one.type.rpartition("/")[2]
        title = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind).rstrip("s")
        properties: dict[str, Any] = {}
        codes = {200: "OK", 201: "Created", 204: "NoContent"}
        if ended:
            properties |= {"statusCode": codes[one.status], "serviceRequestId": None}
            if one.response is not None:
                properties["responseBody"] = json.dumps(one.response, separators=(",", ":"))
        elif one.request is not None:
            properties["requestbody"] = json.dumps(_spelled(one), separators=(",", ":"))
        properties |= {
            "eventCategory": "Administrative",
            "entity": one.resource_id,
            "message": one.action,
            "hierarchy": "/".join((tenant.id, *self._above(one), one.subscription)),
        }
        ticks = int((at - _EPOCH).total_seconds() * 10_000_000)
        http = {"clientRequestId": one.id, "clientIpAddress": one.caller.address, "method": one.method}
        status = "Succeeded" if ended else "Started"
        sub = codes[one.status] if ended else ""
        return {
            "authorization": {"action": one.action, "scope": one.resource_id},
            # An app is shown by its object id: only people have names here.
            "caller": one.caller.upn or one.caller.id,
            "channels": "Operation",
            "claims": one.caller.claims(tenant.id, one.at),
            "correlationId": one.id,
            "description": "",
            "eventDataId": mark,
            "eventName": _named("EndRequest" if ended else "BeginRequest", "End request" if ended else "Begin request"),
            "category": _named("Administrative"),
            "httpRequest": http,
            "id": f"{one.resource_id}/events/{mark}/ticks/{ticks}",
            "level": "Informational",
            "resourceGroupName": one.group,
            "resourceProviderName": _named(one.provider),
            "resourceId": one.resource_id,
            "resourceType": _named(one.type),
            "operationId": one.id,
            "operationName": _named(one.action, f"{verb} {title}"),
            "properties": properties,
            "status": _named(status),
            "subStatus": _named(sub, f"{sub} (HTTP Status Code: {one.status})" if ended else ""),
            "eventTimestamp": _text(at),
            "submissionTimestamp": _text(one.at + self._world.activity_lag),
            "subscriptionId": one.subscription,
            "tenantId": tenant.id,
        }

    def _above(self, one: Operation) -> list[str]:
        return [group.name for group in reversed(self._world.tenant.access.above(one.resource_id))]


def _spelled(one: Operation) -> dict[str, Any]:
    """The body as the Azure CLI or as the portal writes it; which one depends on the operation alone."""
    request = dict(one.request or {})
    if int(one.id[4:8], 16) % 2 or "properties" not in request:
        return request
    properties = {name[0].upper() + name[1:]: value for name, value in request["properties"].items()}
    return {"Id": one.resource_id.rpartition("/")[2], "Properties": properties}


def _named(value: str, shown: str | None = None) -> dict[str, str]:
    return {"value": value, "localizedValue": value if shown is None else shown}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "0Z"


def _filter(where: str) -> tuple[datetime, datetime, str, str]:
    """The time range and the one other clause; no other syntax is allowed."""
    begin, end, found = None, datetime.max.replace(tzinfo=UTC), ("", "")
    for clause in re.split(r"\s+and\s+", where):
        match = _CLAUSE.fullmatch(clause)
        name = match[1].lower() if match else ""
        if not match or (name != "eventtimestamp" and (name not in _NAMES or match[2] != "eq" or found[0])):
            raise BadFilterError(f"The filter clause '{clause}' is not supported.")
        value = match[3] if match[3] is not None else match[4]
        if name != "eventtimestamp":
            found = (name, value)
            continue
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadFilterError(f"'{value}' is no time.") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        begin, end = (moment, end) if match[2] == "ge" else (begin, moment)
    if begin is None:
        raise BadFilterError("The filter needs a start: eventTimestamp ge '...'.")
    return begin, end, *found
