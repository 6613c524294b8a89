"""Microsoft Graph v1.0, as far as the watcher reads it."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from . import directory, members, people
from .entities import Application, ServicePrincipal
from .identity import GRAPH, audience
from .listing import JSON, BadQueryError, Listings, Options, bad_query, condition, project
from .tenant import Objects
from .world import Call, Reply, World, compact, json_reply

READERS = {"Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All"}
ORGANIZATION_READERS = {"Organization.Read.All", "Organization.ReadWrite.All", "Directory.Read.All"}
"""https://learn.microsoft.com/graph/api/organization-list: Application.Read.All is not enough."""

BATCH = 20
"""https://learn.microsoft.com/graph/json-batching#batch-size-limitations"""

_BY_ID = r"(?:/(?P<id>[0-9a-f-]{36})|\(appId='(?P<app>[0-9a-f-]{36})'\)|\('(?P<quoted>[0-9a-f-]{36})'\))"

_DELETED = r"(?:microsoft\.)?graph\.(?P<kind>application|servicePrincipal)"

_MEMBER_OF = r"transitiveMemberOf(?:/(?:microsoft\.)?graph\.group)?"

CODES = {
    400: ("Request_BadRequest", "Invalid request."),
    401: ("InvalidAuthenticationToken", "Access token is empty."),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("Request_ResourceNotFound", "Resource does not exist."),
    429: ("TooManyRequests", "Too many requests."),
    500: ("InternalServerError", "An internal server error occurred."),
    502: ("BadGateway", "The service is temporarily unavailable."),
    503: ("serviceNotAvailable", "The service is temporarily unavailable. Please retry after some time."),
    504: ("GatewayTimeout", "The service did not answer in time."),
}


class Graph:
    """Applications, service principals, their owners and groups, the recycle bin, and batches of requests for these."""

    def __init__(self, world: World, send: Callable[[Call], Reply]) -> None:
        self._world = world
        self._send = send
        """Answers one request of a batch, as if it had come alone."""
        self._applications: Listings[Application] = Listings("applications")
        self._principals: Listings[ServicePrincipal] = Listings("servicePrincipals")
        self._certificate_reads: deque[float] = deque()
        self._routes: list[tuple[str, re.Pattern[str], Callable[[Call, re.Match[str]], Reply]]] = [
            (method, re.compile(rf"/v1\.0{path}/?", re.IGNORECASE), handler)
            for method, path, handler in (
                ("GET", r"/(?P<kind>applications|servicePrincipals)", self._list),
                ("GET", rf"/(?P<kind>applications|servicePrincipals){_BY_ID}", self._get),
                ("GET", rf"/(?P<kind>applications|servicePrincipals){_BY_ID}/owners", self._owners),
                ("GET", rf"/(?P<kind>servicePrincipals){_BY_ID}/{_MEMBER_OF}", self._member_of),
                ("GET", rf"/(?P<kind>applications){_BY_ID}/federatedIdentityCredentials", self._trusted),
                ("GET", rf"/directory/deletedItems/{_DELETED}", self._deleted),
                ("POST", r"/directoryObjects/(?:microsoft\.graph\.)?getByIds", self._by_ids),
                ("GET", r"/organization", self._organization),
                ("GET", people.PATH, self._user),
                ("POST", r"/\$batch", self._batch),
            )
        ]

    def answer(self, call: Call) -> Reply:
        """The answer to a request."""
        reply = self._answer(call)
        marks = {"request-id": str(uuid.uuid4()), "x-ms-ags-diagnostic": '{"ServerInfo":{"DataCenter":"Simulated"}}'}
        marks["client-request-id"] = call.headers.get("client-request-id", marks["request-id"])
        return replace(reply, headers={**reply.headers, **marks})

    def refusal(self, status: int, call: Call) -> Reply:
        """Graph's error body for a status."""
        code, message = CODES.get(status, ("UnknownError", "An error occurred."))
        return self._error(status, code, message)

    def _error(self, status: int, code: str, message: str) -> Reply:
        inner = {
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": str(uuid.uuid4()),
            "client-request-id": str(uuid.uuid4()),
        }
        return json_reply({"error": {"code": code, "message": message, "innerError": inner}}, status)

    def _answer(self, call: Call) -> Reply:
        refused = self._unauthorized(call)
        if refused:
            return refused
        known = False
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(call.path)
            if match and method == call.method:
                try:
                    return handler(call, match)
                except BadQueryError as problem:
                    return bad_query(problem)
            known = known or bool(match)
        if known:
            return self._error(405, "Request_BadRequest", "Specified HTTP method is not allowed for the target.")
        segment = call.path.rpartition("/")[2]
        return self._error(400, "BadRequest", f"Resource not found for the segment '{segment}'.")

    def _unauthorized(self, call: Call) -> Reply | None:
        found = audience(self._world, call)
        if found in GRAPH or found == self._world.origins.get("graph"):
            return None
        if not call.headers.get("authorization"):
            return self.refusal(401, call)
        reason = "Access token validation failure. Invalid audience." if found else "IDX14100: JWT is not well formed."
        return self._error(401, "InvalidAuthenticationToken", reason)

    def _denied(self, call: Call, readers: set[str] = READERS) -> Reply | None:
        return None if self._world.tenant.permissions & readers else self.refusal(403, call)

    def _objects(self, kind: str) -> tuple[Objects[Any], Listings[Any]]:
        if kind.lower().startswith("application"):
            return self._world.tenant.applications, self._applications
        return self._world.tenant.service_principals, self._principals

    def _render(self, entity: Application | ServicePrincipal, blob: bool = False) -> dict[str, Any]:
        if isinstance(entity, Application):
            return directory.application(entity, self._world.tenant, blob=blob)
        return directory.service_principal(entity, self._world.tenant, self._world.now, blob=blob)

    def _list(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        blob = "keyCredentials" in Options.of(call).select
        if blob and self._throttled():
            return replace(self.refusal(429, call), headers={"Retry-After": "60", "Content-Type": "application/json"})
        objects, listings = self._objects(match["kind"])
        # Platform certificates of managed identities depend on the date.
        rendering = (blob, self._world.tenant.domain, self._world.now if listings is self._principals else None)
        pack = self._world.compress and call.packs
        return listings.reply(
            call, self._world.origins["graph"], objects, lambda one: self._render(one, blob), rendering, pack=pack
        )

    def _throttled(self) -> bool:
        limit = self._world.certificates_a_minute
        if limit is None:
            return False
        reads = self._certificate_reads
        while reads and reads[0] < time.monotonic() - 60:
            reads.popleft()
        if len(reads) >= limit:
            return True
        reads.append(time.monotonic())
        return False

    def _get(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        entity = self._find(match)
        if entity is None:
            return self._missing(match)
        select = Options.of(call).select
        shown = project(self._render(entity, "keyCredentials" in select), select)
        names = f"({','.join(select)})" if select else ""
        context = f"{self._world.origins['graph']}/v1.0/$metadata#{match['kind']}{names}/$entity"
        return Reply(200, compact({"@odata.context": context, **shown}), JSON)

    def _find(self, match: re.Match[str]) -> Application | ServicePrincipal | None:
        objects, _ = self._objects(match["kind"])
        entity: Application | ServicePrincipal | None = objects.peek(match["id"] or match["app"] or match["quoted"])
        if entity is None:
            return None
        # An appId is no id: /applications/{appId} is 404.
        asked, has = (match["app"], entity.app_id) if match["app"] else (match["id"] or match["quoted"], entity.id)
        return entity if asked.lower() == has.lower() else None

    def _missing(self, match: re.Match[str]) -> Reply:
        asked = match["id"] or match["app"] or match["quoted"]
        text = f"Resource '{asked}' does not exist or one of its queried reference-property objects are not present."
        return self._error(404, "Request_ResourceNotFound", text)

    def _owners(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        entity = self._find(match)
        if entity is None:
            return self._missing(match)
        options = Options.of(call)
        shown = [directory.owner(owner, self._world.tenant) for owner in entity.owners]
        kept = ("@odata.type", *options.select) if options.select else ()
        return self._value("directoryObjects", [project(one, kept) for one in shown])

    def _user(self, call: Call, match: re.Match[str]) -> Reply:
        found = people.answer(self._world, call, match)
        return self.refusal(found, call) if isinstance(found, int) else found

    def _deleted(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        options = Options.of(call)
        wanted = Application if match["kind"].lower() == "application" else ServicePrincipal
        found = [
            {**self._render(one.entity), "deletedDateTime": directory.moment_text(one.at)}
            for one in self._world.tenant.deleted
            if isinstance(one.entity, wanted)
        ]
        if options.where:
            found = [item for item in found if condition(options.where)(item)]
        return self._page(call, options, found, options.select)

    def _member_of(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        entity = self._find(match)
        if entity is None:
            return self._missing(match)
        tenant, options = self._world.tenant, Options.of(call)
        found = [members.group(group, tenant) for group in tenant.access.memberships(entity.id)]
        return self._page(call, options, found, ("@odata.type", *options.select) if options.select else ())

    def _trusted(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        entity = self._find(match)
        if not isinstance(entity, Application):
            return self._missing(match)
        shown = [directory.federated_credential(one, entity) for one in entity.credentials]
        return self._value("federatedIdentityCredentials", shown)

    def _page(self, call: Call, options: Options, found: list[dict[str, Any]], select: tuple[str, ...]) -> Reply:
        start, stop = options.place.offset, options.place.offset + options.top
        following = None
        if stop < len(found):
            following = self._principals.link(call, self._world.origins["graph"], options, stop)
        shown = [project(item, select) for item in found[start:stop]]
        return self._value("directoryObjects", shown, following, len(found) if options.count and not start else None)

    def _by_ids(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call)
        if denied:
            return denied
        try:
            wanted = [str(one) for one in json.loads(call.body)["ids"]]
        except (ValueError, KeyError, TypeError):
            return self._error(400, "Request_BadRequest", "The value of ids is not valid.")
        if len(wanted) > 1000:
            return self._error(400, "Request_BadRequest", "Too many ids: at most 1000.")
        return self._value("directoryObjects", list(members.by_ids(wanted, self._world.tenant)))

    def _value(
        self, name: str, items: list[Mapping[str, Any]], following: str | None = None, count: int | None = None
    ) -> Reply:
        body: dict[str, Any] = {"@odata.context": f"{self._world.origins['graph']}/v1.0/$metadata#{name}"}
        if count is not None:
            body["@odata.count"] = count
        if following:
            body["@odata.nextLink"] = following
        return Reply(200, compact({**body, "value": items}), JSON)

    def _organization(self, call: Call, match: re.Match[str]) -> Reply:
        denied = self._denied(call, ORGANIZATION_READERS)
        tenant = self._world.tenant
        domain = {"capabilities": "Email", "isDefault": True, "isInitial": True, "name": tenant.domain}
        shown = {"id": tenant.id, "displayName": tenant.name, "tenantType": "AAD", "verifiedDomains": [domain]}
        return denied or self._value("organization", [shown])

    def _batch(self, call: Call, match: re.Match[str]) -> Reply:
        try:
            requests = json.loads(call.body)["requests"]
            calls = [(str(one["id"]), self._part(call, one)) for one in requests]
        except (ValueError, KeyError, TypeError):
            return self._error(400, "BadRequest", "Invalid batch payload format.")
        if len(calls) > BATCH:
            text = f"Number of batch request steps exceeds the maximum value of {BATCH}."
            return self._error(400, "MaximumValueExceeded", text)
        if len({number for number, _ in calls}) < len(calls):
            return self._error(400, "BadRequest", "Request Id has to be unique in a batch.")
        responses = [self._answered(number, self._send(part)) for number, part in calls]
        # Answers come in any order: https://learn.microsoft.com/graph/json-batching#response-format
        return Reply(200, compact({"responses": responses[::-1]}), JSON)

    def _part(self, call: Call, one: Mapping[str, Any]) -> Call:
        headers = {name.lower(): value for name, value in one.get("headers", {}).items()}
        headers["authorization"] = call.headers.get("authorization", "")
        return Call(str(one["method"]), "/v1.0/" + str(one["url"]).lstrip("/"), headers)

    def _answered(self, number: str, reply: Reply) -> dict[str, Any]:
        body = json.loads(reply.body) if reply.body else None
        return {"id": number, "status": reply.status, "headers": dict(reply.headers), "body": body}
