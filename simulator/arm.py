"""Azure Resource Manager, as far as the watcher reads it, and as others change role assignments in it.

A provider that is added later is one more handler in the table of routes.
"""

from __future__ import annotations

import gzip
import re
import uuid
from dataclasses import replace

from . import resources
from .activity import ActivityLog
from .authorization import Authorization
from .entities import Subscription
from .estate import Estate
from .identity import ARM, audience, caller_of
from .providers import Providers
from .replies import GROUP, SUBSCRIPTION, Match, error, missing, page
from .topics import Topics
from .world import Call, Reply, World, json_reply

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
        self._routes = [
            (method, re.compile(path + "/?", re.IGNORECASE), handler)
            for method, path, handler in (
                *Authorization(world).routes,
                *ActivityLog(world).routes,
                *Estate(world).routes,
                *Topics(world).routes,
                ("GET", r"/tenants", self._tenants),
                ("GET", r"/subscriptions", self._subscriptions),
                ("GET", SUBSCRIPTION, self._subscription),
                ("GET", rf"{SUBSCRIPTION}/resourcegroups", self._groups),
                ("GET", GROUP, self._group),
                ("GET", SUBSCRIPTION + _CLUSTERS, self._clusters),
                ("GET", GROUP + _CLUSTERS, self._clusters),
                ("GET", rf"{GROUP}{_CLUSTERS}/(?P<name>[^/]+)", self._cluster),
                # Last, since its patterns are those of any resource.
                *Providers(world).routes,
            )
        ]

    def answer(self, call: Call) -> Reply:
        """The answer to a request."""
        # A client that puts a scope into a path begins it with two slashes.
        plain = replace(call, target="/" + call.target.lstrip("/")) if call.target.startswith("//") else call
        reply = self._answer(plain)
        headers = {
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-correlation-request-id": str(uuid.uuid4()),
            "x-ms-ratelimit-remaining-subscription-reads": "249",
            "Cache-Control": "no-cache",
        }
        packed = "Content-Encoding" in reply.headers
        if self._world.compress and call.packs and not packed and len(reply.body) >= PACKED_FROM:
            headers["Content-Encoding"] = "gzip"
            reply = replace(reply, body=gzip.compress(reply.body, 1, mtime=0))
        return replace(reply, headers={**reply.headers, **headers})

    def refusal(self, status: int, call: Call) -> Reply:
        """ARM's error body for a status; a 403 names the action and the scope."""
        if status == 403:
            who = self._world.object_id
            # A listing is of the scope before the provider, anything else is a scope itself.
            scope, marker, rest = call.path.rpartition("/providers/")
            scope = call.path if not marker or rest.count("/") % 2 == 0 else scope or "/"
            return error(
                403,
                "AuthorizationFailed",
                f"The client '{self._world.client_id}' with object id '{who}' does not have authorization to perform "
                f"action '{action_of(call)}' over scope '{scope}' or the scope is invalid. If access was recently "
                "granted, please refresh your credentials.",
            )
        return error(status, *CODES.get(status, ("UnknownError", "An error occurred.")))

    def _answer(self, call: Call) -> Reply:
        refused = self._unauthorized(call)
        if refused:
            return refused
        if not call.query.get("api-version"):
            text = "The api-version query parameter (?api-version=) is required for all requests."
            return error(400, "MissingApiVersionParameter", text)
        if call.method != "GET" and caller_of(self._world, call) == self._world.object_id:
            # The watcher only reads; whatever else it tried, its identity has no right to.
            return self.refusal(403, call)
        known = False
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(call.path)
            if match and method == call.method:
                return self._closed(call) or handler(call, match)
            known = known or bool(match)
        if known:
            return error(405, "MethodNotAllowed", f"The method {call.method} is not simulated for '{call.path}'.")
        return error(404, "InvalidResourceType", f"The resource type could not be found for path '{call.path}'.")

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
        reply = error(401, code, text)
        return replace(reply, headers={**reply.headers, **challenge})

    def _closed(self, call: Call) -> Reply | None:
        """The refusal of a subscription that is not there or may not be read."""
        segments = call.path.strip("/").split("/")
        if len(segments) < 2 or segments[0].lower() != "subscriptions":
            return None
        asked = segments[1]
        subscription = self._find(asked)
        if subscription is None:
            return error(404, "SubscriptionNotFound", f"The subscription '{asked}' could not be found.")
        # Only the watcher's rights are simulated.
        watcher = caller_of(self._world, call) == self._world.object_id
        return self.refusal(403, call) if watcher and not subscription.readable else None

    def _find(self, asked: str) -> Subscription | None:
        return next((one for one in self._world.tenant.subscriptions if one.id.lower() == asked.lower()), None)

    def _subscriptions(self, call: Call, match: Match) -> Reply:
        tenant = self._world.tenant
        shown = [resources.subscription(one, tenant.id) for one in tenant.subscriptions if one.readable]
        return page(self._world, call, shown, {"count": {"type": "Total", "value": len(shown)}})

    def _tenants(self, call: Call, match: Match) -> Reply:
        return page(self._world, call, [resources.tenant(self._world.tenant)])

    def _subscription(self, call: Call, match: Match) -> Reply:
        found = self._find(match["subscription"])
        assert found
        return json_reply(resources.subscription(found, self._world.tenant.id))

    def _groups(self, call: Call, match: Match) -> Reply:
        wanted = match["subscription"].lower()
        groups = [one for one in self._world.tenant.groups if one.subscription_id.lower() == wanted]
        return page(self._world, call, [resources.resource_group(one) for one in groups])

    def _group(self, call: Call, match: Match) -> Reply:
        asked = (match["subscription"].lower(), match["group"].lower())
        for one in self._world.tenant.groups:
            if (one.subscription_id.lower(), one.name.lower()) == asked:
                return json_reply(resources.resource_group(one))
        return error(404, "ResourceGroupNotFound", f"Resource group '{match['group']}' could not be found.")

    def _clusters(self, call: Call, match: Match) -> Reply:
        group = match.groupdict().get("group")
        found = [
            resources.managed_cluster(one, self._world.tenant.id)
            for one in self._world.tenant.clusters
            if one.subscription_id.lower() == match["subscription"].lower()
            and (group is None or one.group.lower() == group.lower())
        ]
        return page(self._world, call, found, empty_last=self._world.empty_last_page)

    def _cluster(self, call: Call, match: Match) -> Reply:
        asked = tuple(match[name].lower() for name in ("subscription", "group", "name"))
        for one in self._world.tenant.clusters:
            if (one.subscription_id.lower(), one.group.lower(), one.name.lower()) == asked:
                return json_reply(resources.managed_cluster(one, self._world.tenant.id))
        return missing("Microsoft.ContainerService/managedClusters", match["name"], match["group"])


def action_of(call: Call) -> str:
    """The action that a request needs, as AuthorizationFailed names it."""
    verb = {"GET": "read", "DELETE": "delete"}.get(call.method, "write")
    _, marker, rest = call.path.rpartition("/providers/")
    provider, *segments = rest.strip("/").split("/")
    if marker and not segments:
        return f"Microsoft.Resources/subscriptions/providers/{verb}"
    if marker:
        return "/".join((provider, *segments[::2], verb))
    if re.search(r"/resourcegroups", call.path, re.IGNORECASE):
        return f"Microsoft.Resources/subscriptions/resourceGroups/{verb}"
    return f"Microsoft.Resources/subscriptions/{verb}"
