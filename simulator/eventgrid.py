"""Event Grid's delivery to one function: at least once, in no order, with its retries and its dead letters.

https://learn.microsoft.com/azure/event-grid/delivery-and-retry. Probation and batches are not simulated.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx

from .entities import derived
from .events import Schema, event, text
from .operation import HANDLED
from .world import World, compact

SCHEDULE = tuple(timedelta(seconds=n) for n in (10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600))
"""What is waited after the first, second, ... failure; the last one again and again."""
LEAST = {401: 300, 404: 300, 408: 120, 503: 30}
"""Seconds that are waited at least after some answers."""
DROPPED = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 413: "RequestEntityTooLarge"}
"""Answers of a webhook after which an event is never sent again."""
OUTCOMES = {404: "NotFound", 408: "TimedOut", 503: "Busy"}
PATH = "/runtime/webhooks/eventgrid"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One delivery of one event; status 0 is no answer at all."""

    event_id: str
    at: datetime
    status: int


@dataclass(kw_only=True)
class Pending:
    """An event that is still to be delivered."""

    event: dict[str, Any]
    published: datetime
    due: datetime
    attempts: int = 0


@dataclass(kw_only=True)
class EventGrid:
    """An event subscription on the subscriptions of a tenant; time is the simulated one."""

    azure: World
    endpoint: str
    """scheme://host:port of the functions host."""
    code: str
    """The key of the Event Grid extension."""
    function: str = "on_role_change"
    schema: Schema = "EventGridSchema"
    textual: bool = False
    """Whether objects in an event are sent as texts: see events.py."""
    operations: Collection[str] = HANDLED
    subscriptions: Collection[str] | None = None
    """Ids of the subscriptions that have such an event subscription; None is all of them."""
    duplicates: int = 0
    """How many times more every event is sent."""
    shuffle: int | None = None
    """A seed: events that are due together are sent in an order that depends on it."""
    delay: timedelta = timedelta(seconds=1)
    """From the end of an operation to its event's first delivery."""
    time_to_live: timedelta = timedelta(days=1)
    max_attempts: int = 30
    patience: float = 30.0
    """Real seconds that an answer is waited for."""
    parallel: int = 50
    attempts: list[Attempt] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    _seen: int = field(init=False)

    def __post_init__(self) -> None:
        # An event subscription brings nothing of what happened before it was made.
        self._seen = len(self.azure.tenant.log)

    @property
    def url(self) -> str:
        """Where events are sent."""
        return f"{self.endpoint}{PATH}?{urlencode({'functionName': self.function, 'code': self.code})}"

    @property
    def next_due(self) -> datetime | None:
        """When the next delivery is due; events of operations that nobody looked at yet are not counted."""
        return min((one.due for one in self.pending), default=None)

    async def validate(self) -> bool:
        """The handshake that comes before the first delivery."""
        async with httpx.AsyncClient(timeout=self.patience) as client:
            if self.schema == "CloudEventSchemaV1_0":
                origin = {"WebHook-Request-Origin": "eventgrid.azure.net"}
                answer = await client.options(self.url, headers=origin)
                allowed = answer.headers.get("WebHook-Allowed-Origin")
                return answer.status_code == 200 and allowed in ("*", "eventgrid.azure.net")
            code = derived(self.azure.tenant.id, "validation", self.url)
            body = {
                "id": derived(self.azure.tenant.id, "validation event", self.url),
                "topic": f"/subscriptions/{self.azure.tenant.subscriptions[0].id}",
                "subject": "",
                "data": {"validationCode": code, "validationUrl": "https://rp.eventgrid.example/validate"},
                "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                "eventTime": text(self.azure.now),
                "metadataVersion": "1",
                "dataVersion": "1",
            }
            answer = await client.post(self.url, json=[body], headers={"aeg-event-type": "SubscriptionValidation"})
            return bool(answer.status_code == 200 and answer.json() == {"validationResponse": code})

    async def deliver(self) -> list[Attempt]:
        """Send all that is due now, once; gives what was tried."""
        self.publish()
        now = self.azure.now
        due = [one for one in self.pending if one.due <= now]
        self.pending = [one for one in self.pending if one.due > now]
        if self.shuffle is not None:
            random.Random(self.shuffle).shuffle(due)
        lanes, before = asyncio.Semaphore(self.parallel), len(self.attempts)
        async with httpx.AsyncClient(timeout=self.patience) as client:
            await asyncio.gather(*(self._send(client, lanes, one, now) for one in due))
        return self.attempts[before:]

    async def run(self, until: datetime) -> None:
        """Let the simulated time go on to a moment, with every delivery at its own time."""
        self.publish()
        while self.next_due and self.next_due <= until:
            self.azure.now = max(self.azure.now, self.next_due)
            await self.deliver()
        self.azure.now = max(self.azure.now, until)

    def publish(self) -> None:
        """Take over the operations that nobody looked at yet."""
        tenant = self.azure.tenant
        operations, self._seen = tenant.log[self._seen :], len(tenant.log)
        for one in operations:
            wired = self.subscriptions is None or one.subscription in {item.lower() for item in self.subscriptions}
            if one.subscription and wired and one.action in self.operations:
                made = event(one, tenant.id, self.schema, textual=self.textual)
                for _ in range(1 + self.duplicates):
                    self.pending.append(Pending(event=made, published=one.at, due=one.at + self.delay))

    async def _send(self, client: httpx.AsyncClient, lanes: asyncio.Semaphore, one: Pending, now: datetime) -> None:
        if one.attempts and now - one.published > self.time_to_live:
            # Looked at before a retry only: the first attempt is always made.
            self._dead(one, now, "TimeToLiveExceeded", self._last(one))
            return
        cloud = self.schema == "CloudEventSchemaV1_0"
        headers = {
            "Content-Type": "application/cloudevents-batch+json" if cloud else "application/json; charset=utf-8",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": self.function.upper(),
            "aeg-delivery-count": str(one.attempts),
        }
        async with lanes:
            try:
                status = (await client.post(self.url, content=compact([one.event]), headers=headers)).status_code
            except httpx.TimeoutException:
                status = 408
            except httpx.TransportError:
                status = 0
        one.attempts += 1
        self.attempts.append(Attempt(event_id=one.event["id"], at=now, status=status))
        if status in (200, 201, 202, 203, 204):
            return
        if status in DROPPED:
            self._dead(one, now, f"UndeliverableDueToHttp{DROPPED[status]}", status)
        elif one.attempts >= self.max_attempts:
            self._dead(one, now, "MaxDeliveryAttemptsExceeded", status)
        else:
            wait = SCHEDULE[min(one.attempts, len(SCHEDULE)) - 1]
            one.due = now + max(wait, timedelta(seconds=LEAST.get(status, 10)))
            self.pending.append(one)

    def _last(self, one: Pending) -> int:
        return next((item.status for item in reversed(self.attempts) if item.event_id == one.event["id"]), 0)

    def _dead(self, one: Pending, now: datetime, reason: str, status: int) -> None:
        outcome = {**DROPPED, **OUTCOMES}.get(status, "GenericError" if status else "SocketError")
        letter: dict[str, Any] = {
            "deadLetterReason": reason,
            "deliveryAttempts": one.attempts,
            "lastDeliveryOutcome": outcome,
            "publishTime": text(one.published),
            "lastDeliveryAttemptTime": text(now),
        }
        if status:
            letter["lastHttpStatusCode"] = status
        if self.schema == "CloudEventSchemaV1_0":
            letter = {name.lower(): value for name, value in letter.items()}
        self.dead_letters.append({**one.event, **letter})
