"""What Resource Manager's providers have in common: routes, error bodies, pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from .paging import Place, place_of, token_for
from .world import Call, Reply, World, json_reply

Match = re.Match[str]
Route = tuple[str, str, Callable[[Call, Match], Reply]]
"""A method, the pattern of a path, and who answers."""

SUBSCRIPTION = r"/subscriptions/(?P<subscription>[^/]+)"
GROUP = rf"{SUBSCRIPTION}/resourcegroups/(?P<group>[^/]+)"


def error(status: int, code: str, message: str) -> Reply:
    """An error as Resource Manager words it."""
    return json_reply({"error": {"code": code, "message": message}}, status)


def missing(kind: str, name: str, group: str) -> Reply:
    """The 404 for a resource."""
    text = f"The Resource '{kind}/{name}' under resource group '{group}' was not found."
    return error(404, "ResourceNotFound", text + " For more details please go to https://aka.ms/ARMResourceNotFoundFix")


def page(
    world: World,
    call: Call,
    items: Sequence[Any],
    more: Mapping[str, Any] | None = None,
    *,
    empty_last: bool = False,
    size: int = 0,
) -> Reply:
    """One page of a listing, with the link to the next."""
    place = place_of(call.query)
    if place is None:
        return error(400, "InvalidSkipToken", "The provided skip token is invalid.")
    stop = place.offset + (size or world.arm_page_size)
    body: dict[str, Any] = {"value": items[place.offset : stop], **(more or {})}
    if stop < len(items) or (empty_last and place.offset < len(items)):
        body["nextLink"] = next_link(world, call, Place(stop, place.number + 1))
    return json_reply(body)


def next_link(world: World, call: Call, place: Place) -> str:
    """The link to a place in the listing that was asked for, its filter included."""
    token = token_for(place)
    where = f"&$filter={quote(call.query['$filter'])}" if "$filter" in call.query else ""
    # A recorded nextLink of the AKS provider names the token twice, in both spellings.
    query = f"%24skipToken={token}&api-version={quote(call.query['api-version'])}&skipToken={token}{where}"
    return f"{world.origins['arm']}{quote(call.path)}?{query}"
