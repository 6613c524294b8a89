"""The clients of one run, made from Settings and closed at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure.core.credentials_async import AsyncTokenCredential

from ..clients import http
from ..clients.activity import Activity
from ..clients.aks import Aks
from ..clients.entra import Entra
from ..clients.http import Arm, Patience
from ..clients.identities import Identities
from ..clients.rbac import Rbac
from ..clients.resources import Resources
from ..clients.tables import Tables
from ..clients.teams import Teams
from ..clients.wiring import Wiring
from ..settings import Settings
from .storage import credential, tables_of

if TYPE_CHECKING:
    from ..clients.topic import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The services of one run; `tables` is None for a dry run, `topic` where none is set."""

    credential: AsyncTokenCredential
    entra: Entra
    aks: Aks
    rbac: Rbac
    identities: Identities
    resources: Resources
    activity: Activity
    wiring: Wiring
    tables: Tables | None
    teams: Teams
    topic: Topic | None = None


@asynccontextmanager
async def connect(
    settings: Settings, *, storage: bool = True, patience: Patience | None = None
) -> AsyncIterator[Clients]:
    """The clients of one run, closed at its end; raises SettingsError for wrong storage settings."""
    patience = patience or Patience()
    async with AsyncExitStack() as stack:
        identity = await stack.enter_async_context(credential(settings))
        pool = await stack.enter_async_context(http.session(patience))
        transport = http.transport(pool, patience)
        tables = None
        if storage:
            tables = await stack.enter_async_context(tables_of(settings, identity, transport, patience))
        arm = Arm(credential=identity, endpoint=settings.arm_endpoint, transport=transport, patience=patience)
        topic = None
        if storage and settings.topic_endpoint:
            # Imported here: most deployments have no topic, and the SDK takes its time to load.
            from ..clients.topic import Topic

            topic = await stack.enter_async_context(Topic(settings.topic_endpoint, identity, transport))
        yield Clients(
            credential=identity,
            entra=await stack.enter_async_context(Entra(identity, settings.graph_endpoint, patience)),
            aks=await stack.enter_async_context(Aks(arm)),
            rbac=Rbac(arm),
            identities=Identities(arm),
            resources=Resources(arm),
            activity=Activity(arm),
            wiring=Wiring(arm),
            tables=tables,
            teams=Teams(pool),
            topic=topic,
        )
