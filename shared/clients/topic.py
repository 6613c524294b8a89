"""An Event Grid custom topic that takes CloudEvents, reached with the identity.

https://learn.microsoft.com/azure/event-grid/cloud-event-schema
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.core.pipeline.transport import AioHttpTransport
from azure.eventgrid.aio import EventGridPublisherClient

from .http import Patience, fault, retry_options, token_fault
from .teams import DeliveryError

PATIENCE = Patience(attempts=1, connect=5, read=10, backoff=0.5, longest_wait=2, total=10)
"""Short: the cards wait for it, and what the topic does not take stays due."""


class Topic:
    """Publishes events; send() raises DeliveryError."""

    def __init__(
        self,
        endpoint: str,
        credential: AsyncTokenCredential,
        transport: AioHttpTransport,
        patience: Patience = PATIENCE,
    ) -> None:
        self._patience = patience
        # The SDK would follow a redirect, wherever it leads.
        options: dict[str, Any] = {**retry_options(patience), "permit_redirects": False, "transport": transport}
        self._client = EventGridPublisherClient(endpoint, credential, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def send(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Publish one batch of CloudEvents, all or none; at least one, and 1 MB at most."""
        try:
            async with asyncio.timeout(self._patience.total):
                await self._client.send([CloudEvent.from_dict(dict(one)) for one in events])
        except TimeoutError as error:
            raise DeliveryError(f"the topic gave no answer within {self._patience.total:g} seconds") from error
        except HttpResponseError as error:
            raise DeliveryError(f"the topic refuses events: {_refusal(error)}") from error
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise DeliveryError(f"the topic cannot be reached: {fault(error)}") from error


def _refusal(error: HttpResponseError) -> str:
    if error.response is None or "Authorization" not in getattr(error.response.request, "headers", {}):
        return token_fault(error)
    hint = " (the identity needs EventGrid Data Sender)" if error.status_code in (401, 403) else ""
    return f"HTTP {error.status_code}{hint}"
