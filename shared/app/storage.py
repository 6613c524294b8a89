"""The identity that the app runs as, and its storage: all that the event function needs, and quick to import."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import AzureCliCredential, ManagedIdentityCredential

from ..clients import http
from ..clients.http import Patience
from ..clients.tables import Tables
from ..settings import Settings


def credential(settings: Settings) -> AsyncTokenCredential:
    """The user-assigned identity in Azure, the signed-in user of the Azure CLI on a laptop; never a secret."""
    if settings.client_id:
        return ManagedIdentityCredential(client_id=settings.client_id)
    return AzureCliCredential(process_timeout=30)


@asynccontextmanager
async def connect_tables(settings: Settings, patience: Patience | None = None) -> AsyncIterator[Tables]:
    """Storage alone, for a function that has no time to load the other clients; raises StorageError."""
    patience = patience or Patience()
    async with AsyncExitStack() as stack:
        identity = await stack.enter_async_context(credential(settings))
        pool = await stack.enter_async_context(http.session(patience))
        yield await stack.enter_async_context(tables_of(settings, identity, http.transport(pool, patience), patience))


def tables_of(
    settings: Settings, identity: AsyncTokenCredential, transport: AioHttpTransport, patience: Patience
) -> Tables:
    """The tables that the settings name; raises StorageError for wrong ones."""
    return Tables(
        connection_string=settings.storage.reveal(),
        endpoint=settings.tables_endpoint,
        credential=identity,
        transport=transport,
        patience=patience,
    )


def holder(what: str) -> str:
    """Who holds the lease, for the person who reads the row."""
    return f"{what} on {socket.gethostname()}, process {os.getpid()}"
