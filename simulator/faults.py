"""Faults that can be switched on: what goes wrong, where, how often."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

from .paging import page_number
from .world import Call, Host, Reply, Service

HTML = b"<!DOCTYPE html><html><body><h1>Our services aren't available right now</h1></body></html>"


@dataclass(kw_only=True)
class Fault:
    """Something that goes wrong with requests whose decoded path and query match `path`.

    Fields that change the answer can be combined; of several faults that match, the first one added counts.
    """

    path: str
    """A regular expression, searched without case."""
    method: str | None = None
    host: Host | None = None
    page: int | None = None
    """Only this page of a listing, counted from 1."""
    times: int | None = None
    """How often it happens; None is every time."""
    after: int = 0
    """How many matching requests are let through first."""

    status: int | None = None
    """Answer this instead, with the service's own error body."""
    retry_after: float | None = None
    retry_after_date: bool = False
    """Send Retry-After as an HTTP date, in real time."""
    body: bytes | None = None
    """Answer this body instead of the service's own."""
    html: bool = False
    """Answer an HTML page, with status 200 unless `status` says otherwise."""
    redirect: str | None = None
    """Answer 302 to the same path at this origin."""
    next_link: str | None = None
    """Put this origin into the nextLink of the answer."""

    latency: float = 0.0
    """Seconds before the answer begins."""
    slow: float = 0.0
    """Seconds over which the body trickles."""
    hang: bool = False
    """Never answer."""
    cut: bool = False
    """Send half of the body that Content-Length promises, then close."""
    reset: Literal["before", "during", "after"] | None = None
    """Reset the connection: before the request is processed, in the middle of the body, or after it was processed and
    before anything is answered."""

    seen: int = field(default=0, init=False)
    happened: int = field(default=0, init=False)

    def strikes(self, host: Host, call: Call) -> bool:
        """Whether it happens to this request; counts it."""
        if self.host not in (None, host) or self.method not in (None, call.method):
            return False
        if not re.search(self.path, call.text, re.IGNORECASE):
            return False
        if self.page is not None and page_number(call.query) != self.page:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.happened >= self.times):
            return False
        self.happened += 1
        return True

    @property
    def processes(self) -> bool:
        """Whether the service gets to see the request."""
        replaced = self.status or self.html or self.redirect is not None or self.body is not None
        return not (replaced or self.hang or self.reset == "before")

    def reply(self, service: Service, call: Call) -> Reply:
        """The answer that the fault lets through or makes."""
        if self.processes:
            # A packed body could not be edited.
            plain = replace(call, headers={**call.headers, "accept-encoding": ""}) if self.next_link else call
            return self._with_next_link(service.answer(plain))
        if self.redirect is not None:
            return Reply(302, b"", {"Location": self.redirect + call.target})
        if self.html:
            reply = Reply(self.status or 200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        elif self.body is not None:
            reply = Reply(self.status or 200, self.body, {"Content-Type": "application/json; charset=utf-8"})
        else:
            reply = service.refusal(self.status or 500, call)
        return replace(reply, headers={**reply.headers, **self._retry_after()})

    def _retry_after(self) -> dict[str, str]:
        if self.retry_after is None:
            return {}
        if self.retry_after_date:
            moment = datetime.now(UTC) + timedelta(seconds=self.retry_after)
            return {"Retry-After": format_datetime(moment, usegmt=True)}
        return {"Retry-After": f"{self.retry_after:g}"}

    def _with_next_link(self, reply: Reply) -> Reply:
        if self.next_link is None or reply.status != 200:
            return reply
        body: dict[str, Any] = json.loads(reply.body)
        for name in ("@odata.nextLink", "nextLink"):
            if name in body:
                body[name] = re.sub(r"^https?://[^/]+", self.next_link, body[name])
        return replace(reply, body=json.dumps(body).encode())
