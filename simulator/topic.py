"""An Event Grid custom topic with the CloudEvents input schema: what was published, as any subscriber would get it.

https://learn.microsoft.com/azure/event-grid/post-to-custom-topic and
https://learn.microsoft.com/azure/event-grid/cloud-event-schema
"""

from __future__ import annotations

import json
from typing import Any

from .identity import audience
from .world import Call, Reply, World, json_reply

AUDIENCE = "https://eventgrid.azure.net"
PATH = "/api/events"
MAX_BYTES = 1024 * 1024
BATCH = "application/cloudevents-batch+json"
REQUIRED = ("id", "source", "type", "specversion")

CODES = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 413: "RequestEntityTooLarge"}


class Topic:
    """Takes batches of CloudEvents, all or none, from who brings a token for Event Grid."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.events: list[dict[str, Any]] = []
        self.batches: list[int] = []
        """Bytes of each batch that was accepted."""

    def answer(self, call: Call) -> Reply:
        """The answer to a post."""
        found = audience(self._world, call)
        if found != AUDIENCE:
            return self.refusal(401, call)
        if call.path != PATH or call.method != "POST" or not call.query.get("api-version"):
            return self.refusal(404, call)
        if len(call.body) > MAX_BYTES:
            return self.refusal(413, call)
        if not call.headers.get("content-type", "").startswith(BATCH):
            return self.refusal(400, call)
        try:
            events = json.loads(call.body)
        except ValueError:
            return self.refusal(400, call)
        if not isinstance(events, list) or not all(_complete(one) for one in events):
            return self.refusal(400, call)
        self.events += events
        self.batches.append(len(call.body))
        return Reply(200)

    def refusal(self, status: int, call: Call) -> Reply:
        """Event Grid's error body for a status."""
        return json_reply({"error": {"code": CODES.get(status, "InternalServerError"), "message": "Refused."}}, status)


def _complete(event: Any) -> bool:
    return isinstance(event, dict) and all(isinstance(event.get(name), str) and event[name] for name in REQUIRED)
