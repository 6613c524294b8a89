"""What the simulated services share: the tenant, the time, the switches, and the form of a request and an answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, unquote

from .entities import derived
from .tenant import Tenant

Host = Literal["graph", "arm", "identity", "teams", "topic"]


@dataclass(frozen=True)
class Call:
    """A request as a service sees it; `target` is path and query, byte for byte as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = b""

    @cached_property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def query(self) -> dict[str, str]:
        """The decoded query by lower-case name; the services do not mind the case of `$skipToken`."""
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        return {name.lower(): value for name, value in pairs}

    @property
    def text(self) -> str:
        """Path and query, decoded: what the pattern of a fault is searched in."""
        path, mark, query = self.target.partition("?")
        return unquote(path) + mark + unquote(query.replace("+", " "))

    @property
    def packs(self) -> bool:
        """Whether the client takes gzip, as Graph and ARM then send."""
        return "gzip" in self.headers.get("accept-encoding", "")


@dataclass(frozen=True)
class Reply:
    """An answer, ready to be sent."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(body: Any, status: int = 200, **headers: str) -> Reply:
    """An answer with a JSON body; `retry_after` becomes the header Retry-After."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(status, compact(body), kind | named)


def compact(body: Any) -> bytes:
    """JSON as the services send it, without white space and in UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


class Service(Protocol):
    """One simulated service: what it answers, and how it words a refusal."""

    def answer(self, call: Call) -> Reply:
        """The answer to a request, token check included."""

    def refusal(self, status: int, call: Call) -> Reply:
        """The body that the real service sends with this status for this request."""


@dataclass(kw_only=True)
class World:
    """The shared state: everything here may be changed while the services run."""

    tenant: Tenant
    now: datetime
    """Today in the simulated world; tokens and TLS keep real time."""
    latency: float = 0.0
    """Seconds added to each request."""
    arm_page_size: int = 50
    """Clusters and subscriptions a page; ARM's own sizes are not documented."""
    assignments_page_size: int = 1000
    """Role assignments a page."""
    replica_lag: timedelta = timedelta(0)
    """How long after its deletion a role assignment is still read."""
    activity_lag: timedelta = timedelta(seconds=65)
    """How long after the end of an operation the activity log shows it; 60 to 68 seconds were recorded."""
    empty_last_page: bool = False
    """Whether a listing of clusters ends with a page without clusters, as a recorded one did."""
    certificates_a_minute: int | None = None
    """How many listings that name keyCredentials in $select are let through; Graph's is 150, None is no limit."""
    compress: bool = True
    """Whether Graph and ARM answer with gzip to clients that take it."""
    origins: dict[Host, str] = field(default_factory=dict)
    """scheme://host:port of each service, once it runs."""
    signing_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    identity_header: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def client_id(self) -> str:
        """The client id of the watching app's user-assigned identity."""
        return derived(self.tenant.id, "watcher client")

    @property
    def object_id(self) -> str:
        """The object id of the watching app's user-assigned identity."""
        return derived(self.tenant.id, "watcher")
