"""Graph's listings: the query options, the pages, and a cache of pages that nothing has changed."""

from __future__ import annotations

import gzip
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic
from urllib.parse import quote

from .paging import Place, place_of, token_for
from .tenant import Entity, Objects
from .world import Call, Reply, compact, json_reply

MAX_TOP, DEFAULT_TOP = 999, 100
"""https://learn.microsoft.com/graph/api/application-list: pages of 100, or up to 999 with $top."""

_FORMAT = "odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false"
JSON = {
    "Content-Type": f"application/json;{_FORMAT};charset=utf-8",
    "OData-Version": "4.0",
}


_KEPT = ("$top", "$select", "$filter", "$count")
"""The query options that a nextLink repeats."""


class BadQueryError(Exception):
    """A query that Graph refuses with 400."""


@dataclass(frozen=True)
class Options:
    """The query options of one request for a listing."""

    top: int
    select: tuple[str, ...]
    """Empty for whole objects."""
    where: str
    count: bool
    place: Place

    @classmethod
    def of(cls, call: Call) -> Options:
        """The options of a request; raises BadQueryError for those that Graph refuses."""
        query = call.query
        unknown = {name for name in query if name.startswith("$")} - {*_KEPT, "$skiptoken"}
        if unknown:
            raise BadQueryError(f"The query option {min(unknown)} is not simulated.")
        try:
            top = int(query.get("$top", DEFAULT_TOP))
        except ValueError:
            raise BadQueryError(f"Invalid value '{query['$top']}' for $top.") from None
        if not 1 <= top <= MAX_TOP:
            raise BadQueryError(f"Invalid page size specified: '{top}'. Must be between 1 and {MAX_TOP} inclusive.")
        count = query.get("$count", "false").lower() == "true"
        # The header is wanted with every page, and clients that set it once lose it on the second one.
        if count and call.headers.get("consistencylevel", "").lower() != "eventual":
            raise BadQueryError("$count is only supported with the header 'ConsistencyLevel: eventual'.")
        place = place_of(query)
        if place is None:
            raise BadQueryError("Invalid skip token.")
        names = tuple(name.strip() for name in query.get("$select", "").split(",") if name.strip())
        return cls(top, names, query.get("$filter", ""), count, place)


_CLAUSE = re.compile(r"\s*(\w+)\s+(eq|ne)\s+('(?:[^']|'')*'|true|false|null)\s*(?:(and|or)\s+|$)")
_IN = re.compile(r"\s*(\w+)\s+in\s*\(\s*('(?:[^']|'')*'(?:\s*,\s*'(?:[^']|'')*')*)\s*\)\s*$")
_TEXT = re.compile(r"'((?:[^']|'')*)'")
TRUSTING = "federatedIdentityCredentials/$count ne 0"
"""An advanced query: https://learn.microsoft.com/graph/aad-advanced-queries."""
FILTERED = ("id", "appId", "displayName", "servicePrincipalType", "accountEnabled")


def condition(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """The test that a $filter asks for: eq, ne, in, joined by and / or; BadQueryError for any other."""
    within = _IN.fullmatch(text)
    if within and within[1] in FILTERED:
        wanted = {value.replace("''", "'") for value in _TEXT.findall(within[2])}
        return lambda entity: entity.get(within[1]) in wanted
    clauses, end = [], 0
    while end < len(text):
        match = _CLAUSE.match(text, end)
        if not match or match[1] not in FILTERED:
            raise BadQueryError(f"Unsupported or invalid query filter clause specified: {text}")
        clauses.append((match[1], match[2] == "eq", _literal(match[3]), match[4]))
        end = match.end()
    if clauses[-1][3]:
        raise BadQueryError(f"Unsupported or invalid query filter clause specified: {text}")

    def test(entity: Mapping[str, Any]) -> bool:
        result, joined = True, "and"
        for name, equal, value, following in clauses:
            one = (entity.get(name) == value) is equal
            result = (result and one) if joined == "and" else (result or one)
            joined = following
        return result

    return test


def _literal(text: str) -> object:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return {"true": True, "false": False, "null": None}[text]


def project(entity: Mapping[str, Any], select: tuple[str, ...]) -> Mapping[str, Any]:
    """An object with the selected members only."""
    return {name: entity[name] for name in select if name in entity} if select else entity


class Listings(Generic[Entity]):
    """Answers requests for one collection."""

    def __init__(self, name: str, limit: int = 96 * 1024 * 1024) -> None:
        self._name = name
        self._limit = limit
        self._pages: OrderedDict[Hashable, bytes] = OrderedDict()
        self._held = 0

    def reply(
        self,
        call: Call,
        origin: str,
        objects: Objects[Entity],
        render: Callable[[Entity], Mapping[str, Any]],
        rendering: Hashable,
        *,
        pack: bool,
    ) -> Reply:
        """One page; `rendering` tells apart what `render` depends on."""
        options = Options.of(call)
        if options.where:
            return self._filtered(call, origin, options, objects, render)
        start, stop = options.place.offset, min(options.place.offset + options.top, objects.places)
        following = self.link(call, origin, options, stop) if stop < objects.places else None
        key = (start, stop, objects.places, following, options, rendering, origin, pack)
        steady = objects.crowd is not None and stop <= objects.crowded
        steady = steady and not any(start <= index < stop for index in objects.changed)
        body = self._pages.get(key) if steady else None
        if body is None:
            rows = self._rows(
                objects, start, stop, lambda one: project(render(one), options.select), (rendering, options.select)
            )
            body = self._envelope(origin, options, len(objects), following, rows)
            body = gzip.compress(body, 1, mtime=0) if pack else body
            if steady:
                self._keep(key, body)
        else:
            self._pages.move_to_end(key)
        return Reply(200, body, {**JSON, "Content-Encoding": "gzip"} if pack else JSON)

    def _filtered(
        self,
        call: Call,
        origin: str,
        options: Options,
        objects: Objects[Entity],
        render: Callable[[Entity], Mapping[str, Any]],
    ) -> Reply:
        if options.where == TRUSTING:
            return self._trusting(call, origin, options, objects, render)
        test = condition(options.where)
        named = re.fullmatch(r"\s*(?:id|appId) eq '([0-9a-fA-F-]{36})'\s*", options.where)
        candidates = [objects.peek(named[1])] if named else objects
        found = [item for item in (render(one) for one in candidates if one is not None) if test(item)]
        return self._part(call, origin, options, found)

    def _trusting(
        self,
        call: Call,
        origin: str,
        options: Options,
        objects: Objects[Entity],
        render: Callable[[Entity], Mapping[str, Any]],
    ) -> Reply:
        if not options.count:
            raise BadQueryError(f"The filter {TRUSTING} needs $count=true.")
        # Nobody in a crowd trusts anything, unless somebody changed that.
        known = (*objects.changed.values(), *objects.own)
        found = [render(one) for one in known if one is not None and getattr(one, "credentials", None)]
        return self._part(call, origin, options, found)

    def _part(self, call: Call, origin: str, options: Options, found: list[Mapping[str, Any]]) -> Reply:
        stop = options.place.offset + options.top
        rows = [compact(project(item, options.select)) for item in found[options.place.offset : stop]]
        following = self.link(call, origin, options, stop) if stop < len(found) else None
        return Reply(200, self._envelope(origin, options, len(found), following, rows), JSON)

    def _rows(
        self,
        objects: Objects[Entity],
        start: int,
        stop: int,
        render: Callable[[Entity], Mapping[str, Any]],
        rendering: Hashable,
    ) -> list[bytes]:
        rows = []
        crowd: Any = objects.crowd
        for index in range(start, min(stop, objects.crowded)):
            if index not in objects.changed:
                rows.append(crowd.row(index, render, rendering))
                continue
            changed = objects.changed[index]
            if changed is not None:
                rows.append(compact(render(changed)))
        own = objects.own[max(start - objects.crowded, 0) : max(stop - objects.crowded, 0)]
        return rows + [compact(render(one)) for one in own]

    def _envelope(self, origin: str, options: Options, count: int, following: str | None, rows: list[bytes]) -> bytes:
        names = f"({','.join(options.select)})" if options.select else ""
        head: dict[str, Any] = {"@odata.context": f"{origin}/v1.0/$metadata#{self._name}{names}"}
        if options.count and options.place.offset == 0:
            head["@odata.count"] = count
        if following:
            head["@odata.nextLink"] = following
        return compact(head)[:-1] + b',"value":[' + b",".join(rows) + b"]}"

    def link(self, call: Call, origin: str, options: Options, offset: int) -> str:
        """The nextLink to an offset: the same options, and an opaque token."""
        kept = "".join(f"{name}={quote(call.query[name], safe=',')}&" for name in _KEPT if name in call.query)
        token = token_for(Place(offset, options.place.number + 1))
        return f"{origin}{quote(call.path)}?{kept}$skiptoken={token}"

    def _keep(self, key: Hashable, body: bytes) -> None:
        self._pages[key] = body
        self._held += len(body)
        while self._held > self._limit:
            self._held -= len(self._pages.popitem(last=False)[1])


def bad_query(problem: BadQueryError) -> Reply:
    """Graph's answer to a query that it refuses."""
    return json_reply({"error": {"code": "Request_UnsupportedQuery", "message": str(problem)}}, 400)
