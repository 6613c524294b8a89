"""Pages of a listing: opaque tokens that keep the place, and recorded pages that are served as they are."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from .world import Call, Reply


@dataclass(frozen=True)
class Place:
    """Where in a listing a page begins, and which page of it that is."""

    offset: int = 0
    number: int = 1


def place_of(query: Mapping[str, str]) -> Place | None:
    """The place that a request's token names, the beginning without one, None for a token nobody gave out."""
    token = query.get("$skiptoken", query.get("skiptoken"))
    if token is None:
        return Place()
    try:
        offset, number = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return Place(int(offset), int(number))
    except (ValueError, TypeError):
        return None


def token_for(place: Place) -> str:
    """The opaque token of a place."""
    return base64.urlsafe_b64encode(json.dumps([place.offset, place.number]).encode()).decode().rstrip("=")


def page_number(query: Mapping[str, str]) -> int | None:
    """The page of a listing that a request asks for, counted from 1."""
    place = place_of(query)
    return place.number if place else None


@dataclass(frozen=True)
class Recorded:
    """One recorded body and the request it answers: a path, and for a follow-up page the query of its nextLink."""

    path: str
    query: frozenset[tuple[str, str]] | None
    body: bytes

    def answers(self, call: Call) -> bool:
        """Whether this is the body for a request."""
        if self.path.lower() != call.path.rstrip("/").lower():
            return False
        if self.query is None:
            return not any("skiptoken" in name for name in call.query)
        return self.query == _marks(call.query.items())

    def reply(self) -> Reply:
        """The recorded bytes, unchanged."""
        return Reply(200, self.body, {"Content-Type": "application/json; charset=utf-8"})


def recorded(path: str, bodies: tuple[bytes, ...], origin: str | None) -> list[Recorded]:
    """The pages of a recorded listing; with an origin, every nextLink is moved there and nothing else is touched."""
    pages: list[Recorded] = []
    query: frozenset[tuple[str, str]] | None = None
    path = unquote(path.partition("?")[0]).rstrip("/")
    for body in bodies:
        document = json.loads(body)
        link = document.get("@odata.nextLink", document.get("nextLink")) if isinstance(document, dict) else None
        if link and origin:
            there = re.sub(r"^https?://[^/]+", origin, link)
            body = body.replace(json.dumps(link).encode(), json.dumps(there).encode())
        pages.append(Recorded(path, query, body))
        if link:
            parts = urlsplit(link)
            path = unquote(parts.path).rstrip("/")
            pairs = parse_qsl(parts.query, keep_blank_values=True)
            query = _marks((name.lower(), value) for name, value in pairs)
    return pages


def _marks(pairs: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """A query without its api-version: the Azure SDK puts its own into every nextLink that it follows."""
    return frozenset(pair for pair in pairs if pair[0] != "api-version")
