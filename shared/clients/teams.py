"""Teams channels behind Workflows webhooks: one POST a card, paced, and the address seen by nobody.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import yarl
from opentelemetry import context

from ..settings import Receiver
from .http import Patience, retry_after, what_broke

INTERVAL = 0.27
"""Seconds between two posts: Teams takes 4 requests a second."""

REFUSALS = frozenset({400, 401, 403, 404, 410})
"""Answers after which trying again cannot help: the flow is gone, off, or of another shape."""

_GONE = "the flow is gone or its URL was renewed: docs/operations.md, Rotate a webhook"
_TOO_LATE = "timeout"


class DeliveryError(Exception):
    """A card that a receiver did not take; `permanent` when trying again cannot help."""

    def __init__(self, reason: str, *, advice: str = "", permanent: bool = False, retry_after: float = 0) -> None:
        super().__init__(f"{reason}: {advice}" if advice else reason)
        self.reason = reason
        self.permanent = permanent
        self.retry_after = retry_after
        """Seconds that the receiver asks to wait."""


class Teams:
    """Posts cards; the webhook's address is a secret, so no exception, log line or trace of ours carries it."""

    def __init__(
        self,
        pool: aiohttp.ClientSession,
        patience: Patience = Patience(attempts=3, read=30, total=60, longest_wait=15),
        interval: float = INTERVAL,
    ) -> None:
        self._pool = pool
        self._patience = patience
        self._interval = interval
        self._next = 0.0

    async def send(self, receiver: Receiver, message: Mapping[str, Any]) -> None:
        """Post one message; returns when the receiver accepted it (any 2xx), else raises DeliveryError.

        Accepted is not displayed: a flow answers 202 before it posts.
        """
        if receiver.problem:
            raise DeliveryError(f"{receiver.name}: {receiver.problem}", permanent=True)
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        waited = 0.0
        for attempt in range(self._patience.attempts):
            status, asked, fault = await self._post(receiver, body)
            if 200 <= status < 300:
                return
            wait = max(asked, self._patience.backoff * 2**attempt)
            waited += wait
            # A receiver that took too long to answer may have taken the card, and would get it once more.
            last = attempt + 1 == self._patience.attempts or fault == _TOO_LATE
            if status in REFUSALS or 300 <= status < 400 or last or waited > self._patience.longest_wait:
                what = f"answered HTTP {status}" if status else f"did not answer ({fault})"
                raise DeliveryError(
                    f"{receiver.name} {what}",
                    # To a card of another shape it answers 400.
                    advice=_GONE if status in REFUSALS - {400} else "",
                    permanent=status in REFUSALS,
                    retry_after=asked,
                )
            await asyncio.sleep(wait)

    async def _post(self, receiver: Receiver, body: bytes) -> tuple[int, float, str]:
        """Status, Retry-After in seconds, and the fault if there was no answer; never raises with the address."""
        loop = asyncio.get_running_loop()
        pause = self._next - loop.time()
        self._next = max(self._next, loop.time()) + self._interval
        if pause > 0:
            await asyncio.sleep(pause)
        # OpenTelemetry records full addresses of HTTP clients it instruments; this key turns that off.
        token = context.attach(context.set_value("suppress_http_instrumentation", True))
        try:
            async with self._pool.post(
                # Workflows sign the query text: `%2F` and `:443` must stay as they are.
                yarl.URL(receiver.url.reveal(), encoded=True),
                data=body,
                headers={"Content-Type": "application/json; charset=utf-8"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._patience.read, sock_connect=self._patience.connect),
            ) as response:
                await response.read()
                return response.status, retry_after(response.headers.get("Retry-After", "")), ""
        except TimeoutError:
            return 0, 0.0, _TOO_LATE
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only what kind of fault it is leaves this function: messages of these classes repeat the address.
            return 0, 0.0, what_broke(error)
        finally:
            context.detach(token)
