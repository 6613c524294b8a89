"""Azure Resource Manager, as far as the watcher reads it.

A provider that is added later is one more handler in the table of routes.
"""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from . import resources
from .entities import Subscription
from .identity import ARM, audience
from .paging import Place, place_of, token_for
from .world import Call, Reply, World, json_reply

Match = re.Match[str]

_SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
_GROUP = rf"{_SUBSCRIPTION}/resourcegroups/(?P<group>[^/]+)"
_CLUSTERS = r"/providers/Microsoft\.ContainerService/managedClusters"

PACKED_FROM = 1024
"""Smaller bodies are not worth packing."""

CODES = {
    400: ("BadRequest", "The request is invalid."),
    401: ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
    404: ("ResourceNotFound", "The resource was not found."),
    409: ("Conflict", "The request conflicts with another one."),
    429: ("TooManyRequests", "The request is being throttled as the limit has been reached for operation type - Read."),
    500: ("InternalServerError", "The server encountered an internal error. Please retry the request."),
    503: ("ServerTimeout", "The request timed out."),
    504: ("GatewayTimeout", "The gateway did not receive a response from a resource provider in time."),
}


class Arm:
    """Subscriptions, resource groups and managed clusters."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._routes: list[tuple[re.Pattern[str], Callable[[Call, Match], Reply]]] = [
            (re.compile(path + "/?", re.IGNORECASE), handler)
            for path, handler in (
                (r"/tenants", self._tenants),
                (r"/subscriptions", self._subscriptions),
                (_SUBSCRIPTION, self._subscription),
                (rf"{_SUBSCRIPTION}/resourcegroups", self._groups),
                (_GROUP, self._group),
                (_SUBSCRIPTION + _CLUSTERS, self._clusters),
                (_GROUP + _CLUSTERS, self._clusters),
                (rf"{_GROUP}{_CLUSTERS}/(?P<name>[^/]+)", self._cluster),
            )
        ]

    def answer(self, call: Call) -> Reply:
        """The answer to a request."""
        reply = self._answer(call)
        headers = {
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-correlation-request-id": str(uuid.uuid4()),
            "x-ms-ratelimit-remaining-subscription-reads": "249",
            "Cache-Control": "no-cache",
        }
        if self._world.compress and call.packs and len(reply.body) >= PACKED_FROM:
            headers["Content-Encoding"] = "gzip"
            reply = replace(reply, body=gzip.compress(reply.body, 1, mtime=0))
        return replace(reply, headers={**reply.headers, **headers})

    def refusal(self, status: int, call: Call) -> Reply:
        """ARM's error body for a status; a 403 names the action and the scope."""
        if status == 403:
            who = self._world.object_id
            scope = re.sub(r"/providers/Microsoft\.ContainerService/managedClusters$", "", call.path)
            return _error(
                403,
                "AuthorizationFailed",
                f"The client '{self._world.client_id}' with object id '{who}' does not have authorization to perform "
                f"action '{action_of(call)}' over scope '{scope}' or the scope is invalid. If access was recently "
                "granted, please refresh your credentials.",
            )
        return _error(status, *CODES.get(status, ("UnknownError", "An error occurred.")))

    def _answer(self, call: Call) -> Reply:
        refused = self._unauthorized(call)
        if refused:
            return refused
        if not call.query.get("api-version"):
            text = "The api-version query parameter (?api-version=) is required for all requests."
            return _error(400, "MissingApiVersionParameter", text)
        for pattern, handler in self._routes:
            match = pattern.fullmatch(call.path)
            if match and call.method == "GET":
                return self._closed(call, match) or handler(call, match)
        if any(pattern.fullmatch(call.path) for pattern, _ in self._routes):
            # The watcher only reads; whatever else it tried, its identity has no right to.
            return self.refusal(403, call)
        return _error(404, "InvalidResourceType", f"The resource type could not be found for path '{call.path}'.")

    def _unauthorized(self, call: Call) -> Reply | None:
        found = audience(self._world, call)
        if found in ARM or found == self._world.origins.get("arm"):
            return None
        authority = f"https://login.windows.net/{self._world.tenant.id}"
        challenge = {"WWW-Authenticate": f'Bearer authorization_uri="{authority}", error="invalid_token"'}
        if found:
            code = "InvalidAuthenticationTokenAudience"
            text = (
                f"The access token has been obtained for wrong audience or resource '{found}'. It should exactly match "
                "with one of the allowed audiences 'https://management.core.windows.net/',"
                "'https://management.azure.com/'."
            )
        elif call.headers.get("authorization"):
            code, text = "InvalidAuthenticationToken", "The access token is invalid."
        else:
            code, text = CODES[401]
        reply = _error(401, code, text)
        return replace(reply, headers={**reply.headers, **challenge})

    def _closed(self, call: Call, match: Match) -> Reply | None:
        """The refusal of a subscription that is not there or may not be read."""
        asked = match.groupdict().get("subscription")
        if asked is None:
            return None
        subscription = self._find(asked)
        if subscription is None:
            return _error(404, "SubscriptionNotFound", f"The subscription '{asked}' could not be found.")
        return None if subscription.readable else self.refusal(403, call)

    def _find(self, asked: str) -> Subscription | None:
        return next((one for one in self._world.tenant.subscriptions if one.id.lower() == asked.lower()), None)

    def _subscriptions(self, call: Call, match: Match) -> Reply:
        tenant = self._world.tenant
        shown = [resources.subscription(one, tenant.id) for one in tenant.subscriptions if one.readable]
        return self._page(call, shown, {"count": {"type": "Total", "value": len(shown)}})

    def _tenants(self, call: Call, match: Match) -> Reply:
        return self._page(call, [resources.tenant(self._world.tenant)])

    def _subscription(self, call: Call, match: Match) -> Reply:
        found = self._find(match["subscription"])
        assert found
        return json_reply(resources.subscription(found, self._world.tenant.id))

    def _groups(self, call: Call, match: Match) -> Reply:
        wanted = match["subscription"].lower()
        groups = [one for one in self._world.tenant.groups if one.subscription_id.lower() == wanted]
        return self._page(call, [resources.resource_group(one) for one in groups])

    def _group(self, call: Call, match: Match) -> Reply:
        asked = (match["subscription"].lower(), match["group"].lower())
        for one in self._world.tenant.groups:
            if (one.subscription_id.lower(), one.name.lower()) == asked:
                return json_reply(resources.resource_group(one))
        return _error(404, "ResourceGroupNotFound", f"Resource group '{match['group']}' could not be found.")

    def _clusters(self, call: Call, match: Match) -> Reply:
        group = match.groupdict().get("group")
        found = [
            resources.managed_cluster(one, self._world.tenant.id)
            for one in self._world.tenant.clusters
            if one.subscription_id.lower() == match["subscription"].lower()
            and (group is None or one.group.lower() == group.lower())
        ]
        return self._page(call, found, empty_last=self._world.empty_last_page)

    def _cluster(self, call: Call, match: Match) -> Reply:
        asked = tuple(match[name].lower() for name in ("subscription", "group", "name"))
        for one in self._world.tenant.clusters:
            if (one.subscription_id.lower(), one.group.lower(), one.name.lower()) == asked:
                return json_reply(resources.managed_cluster(one, self._world.tenant.id))
        what = f"Microsoft.ContainerService/managedClusters/{match['name']}"
        text = f"The Resource '{what}' under resource group '{match['group']}' was not found."
        return _error(
            404, "ResourceNotFound", text + " For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        )

    def _page(
        self, call: Call, items: Sequence[Any], more: Mapping[str, Any] | None = None, *, empty_last: bool = False
    ) -> Reply:
        place = place_of(call.query)
        if place is None:
            return _error(400, "InvalidSkipToken", "The provided skip token is invalid.")
        stop = place.offset + self._world.arm_page_size
        body: dict[str, Any] = {"value": items[place.offset : stop], **(more or {})}
        if stop < len(items) or (empty_last and place.offset < len(items)):
            token = token_for(Place(stop, place.number + 1))
            # A recorded nextLink of the AKS provider names the token twice, in both spellings.
            query = f"%24skipToken={token}&api-version={quote(call.query['api-version'])}&skipToken={token}"
            body["nextLink"] = f"{self._world.origins['arm']}{quote(call.path)}?{query}"
        return json_reply(body)


def action_of(call: Call) -> str:
    """The action that a request needs, as AuthorizationFailed names it."""
    verb = {"GET": "read", "DELETE": "delete"}.get(call.method, "write")
    _, marker, rest = call.path.rpartition("/providers/")
    if marker:
        provider, *segments = rest.strip("/").split("/")
        return "/".join((provider, *segments[::2], verb))
    if re.search(r"/resourcegroups", call.path, re.IGNORECASE):
        return f"Microsoft.Resources/subscriptions/resourceGroups/{verb}"
    return f"Microsoft.Resources/subscriptions/{verb}"


def _error(status: int, code: str, message: str) -> Reply:
    return json_reply({"error": {"code": code, "message": message}}, status)
