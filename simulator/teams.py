"""Teams channels behind Workflows webhooks, and the web page that shows what was posted."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import channel_page
from .world import Call, Reply, World, json_reply

FALLBACK = "fallback"
MAX_BYTES = 28 * 1024
"""https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook"""
PER_SECOND = 4
CARD = "application/vnd.microsoft.card.adaptive"

CODES = {
    400: ("TriggerInputSchemaMismatch", "The input body for trigger 'manual' did not match its schema."),
    401: ("DirectApiAuthorizationRequired", "The request must be authenticated by a valid shared access signature."),
    403: ("DirectApiRequestForbidden", "The flow is not allowed to run."),
    404: ("WorkflowNotFound", "The requested workflow could not be found."),
    413: ("RequestEntityTooLarge", "The request content exceeds the allowed size."),
    429: ("WorkflowTriggerRequestsThrottled", "The number of requests to the trigger exceeded the limit."),
    502: ("NoResponse", "The server did not receive a response from an upstream server."),
}


@dataclass(frozen=True)
class Post:
    """A card that a channel accepted, or that its flow failed on after the 202."""

    team: str
    at: datetime
    """When, in the simulated world."""
    body: Any
    failure: str = ""
    """Why the flow failed; empty for a card that is shown."""

    @property
    def card(self) -> dict[str, Any]:
        """The Adaptive Card itself."""
        card: dict[str, Any] = self.body["attachments"][0]["content"]
        return card


@dataclass
class Channel:
    """A team's channel: its webhook, and what was posted there."""

    team: str
    workflow: str = field(default_factory=lambda: secrets.token_hex(16))
    signature: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    posts: list[Post] = field(default_factory=list)
    accepted: deque[float] = field(default_factory=deque)
    broken: str = ""
    """Why its flow fails on every card after the 202; empty for one that works."""

    @property
    def path(self) -> str:
        """The path of the webhook, in the form of a Power Platform one."""
        return f"/powerautomate/automations/direct/workflows/{self.workflow}/triggers/manual/paths/invoke"

    @property
    def target(self) -> str:
        """Path and query of the webhook: whoever has these may post, so they are a secret."""
        return f"{self.path}?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={self.signature}"


class Teams:
    """All channels of a tenant: one for each team, and the fallback."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.channels = {team: Channel(team) for team in (FALLBACK, *world.tenant.teams)}

    def environment(self) -> dict[str, str]:
        """The webhook addresses by the settings that hold them."""
        origin = self._world.origins["teams"]
        return {
            "TEAMS_WEBHOOK_URL" + ("" if team == FALLBACK else "_" + _setting(team)): origin + channel.target
            for team, channel in self.channels.items()
        }

    def page(self, *, whole: bool) -> str:
        """The page with the cards of all channels; `whole` makes it one file that needs no server."""
        posts = [post for channel in self.channels.values() for post in channel.posts if not post.failure]
        return channel_page.render(self._world.tenant.name, posts, whole=whole)

    def answer(self, call: Call) -> Reply:
        """The answer to a post, or the page."""
        if call.method == "GET" and call.path in ("/", "/channel"):
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": channel_page.POLICY}
            return Reply(200, self.page(whole=False).encode("utf-8", "replace"), headers)
        if call.method == "GET" and call.path.startswith("/static/"):
            return self._static(call)
        channel = next((one for one in self.channels.values() if one.path == call.path), None)
        if channel is None:
            return self.refusal(404, call)
        # The signature covers sp as it is written: a client that decodes %2F has changed the address.
        if not secrets.compare_digest(call.target.encode("utf-8", "surrogateescape"), channel.target.encode()):
            return self.refusal(401, call)
        if call.method != "POST":
            return self.refusal(404, call)
        return self._post(channel, call)

    def refusal(self, status: int, call: Call) -> Reply:
        """The error body of Power Automate for a status."""
        code, message = CODES.get(status, ("InternalServerError", "Encountered internal server error."))
        return json_reply({"error": {"code": code, "message": message}}, status)

    def _post(self, channel: Channel, call: Call) -> Reply:
        if len(call.body) > MAX_BYTES:
            return self.refusal(413, call)
        now = time.monotonic()
        while channel.accepted and channel.accepted[0] <= now - 1:
            channel.accepted.popleft()
        if len(channel.accepted) >= PER_SECOND:
            reply = self.refusal(429, call)
            return Reply(429, reply.body, {**reply.headers, "Retry-After": "1"})
        try:
            body = json.loads(call.body)
        except ValueError:
            return self.refusal(400, call)
        channel.accepted.append(now)
        channel.posts.append(Post(channel.team, self._world.now, body, failure_of(body) or channel.broken))
        run = uuid.uuid4().hex
        return Reply(202, b"", {"x-ms-workflow-run-id": run, "x-ms-request-id": str(uuid.uuid4())})

    def _static(self, call: Call) -> Reply:
        try:
            data = channel_page.static(call.path.removeprefix("/static/"))
        except FileNotFoundError:
            return Reply(404, b"not installed: npm install", {"Content-Type": "text/plain"})
        return Reply(200, data, {"Content-Type": "text/javascript; charset=utf-8"})


def failure_of(body: Any) -> str:
    """Why the flow template "Post to a channel when a webhook request is received" fails on a body, if it does."""
    if not isinstance(body, Mapping) or body.get("type") != "message":
        return "the body is no message"
    attachments = body.get("attachments")
    if not isinstance(attachments, list) or len(attachments) != 1:
        return "the message has not exactly one attachment"
    attachment = attachments[0]
    if not isinstance(attachment, Mapping) or attachment.get("contentType") != CARD:
        return "the attachment is no Adaptive Card"
    card = attachment.get("content")
    if not isinstance(card, Mapping) or card.get("type") != "AdaptiveCard":
        return "Property 'type' must be 'AdaptiveCard'"
    return ""


def _setting(team: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in team.upper())
