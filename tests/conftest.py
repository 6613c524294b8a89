"""Real parts for every test: Azurite, the simulator, and clients made from the environment it gives."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared import app
from shared.app import Clients
from shared.clients.http import Patience
from shared.settings import Settings
from simulator import Simulator, Tenant, load
from simulator.azurite import Azurite

ROOT = Path(__file__).parent.parent

QUICK = Patience(attempts=3, connect=5, read=5, backoff=0.02, longest_wait=2, total=12)
"""Short waits: what the tests prove does not depend on how long they are."""


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def azurite(azurite_server: Azurite) -> Iterator[Azurite]:
    """An empty table service."""
    azurite_server.wipe()
    yield azurite_server


class Watch:
    """Fusewatch in front of a simulated tenant: the use cases, at any time."""

    def __init__(self, azure: Simulator, env: dict[str, str]) -> None:
        self.azure = azure
        self.env = env
        self.patience = QUICK

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.env)

    @asynccontextmanager
    async def clients(self, *, storage: bool = True) -> AsyncIterator[Clients]:
        async with app.connect(self.settings, storage=storage, patience=self.patience) as clients:
            yield clients

    async def scan(self, now: datetime, *, storage: bool = True) -> app.Report:
        self.azure.now = now
        async with self.clients(storage=storage) as clients:
            return await app.scan(clients, self.settings, now)

    async def settle(self, now: datetime) -> app.Settled:
        self.azure.now = now
        async with self.clients() as clients:
            return await app.settle(clients, self.settings, now)

    async def run(self, now: datetime) -> app.Report:
        """A scan, and the settle that follows it."""
        report = await self.scan(now)
        await self.settle(now)
        return report

    def advance(self, now: datetime) -> None:
        """Let the tenant's story go on until a date."""
        self.azure.tenant.advance(now)


Start = Callable[..., Watch]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a simulator for a tenant and gives the watch in front of it."""
    with ExitStack() as stack:

        def run(tenant: Tenant, *, storage: bool = True, **options: Any) -> Watch:
            azure = stack.enter_context(Simulator(tenant, **options))
            for name in [name for name in os.environ if name.startswith("TEAMS_WEBHOOK_URL")]:
                monkeypatch.delenv(name)
            for name, value in azure.environment.items():
                monkeypatch.setenv(name, value)
            env = dict(azure.environment)
            if storage:
                env["AzureWebJobsStorage"] = request.getfixturevalue("azurite").connection_string
            return Watch(azure, env)

        yield run


@pytest.fixture
def watch(start: Start) -> Watch:
    """The retailer on the first day of its story."""
    return start(load("retailer"))


def day(text: str) -> datetime:
    """A date of the simulated world, UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
