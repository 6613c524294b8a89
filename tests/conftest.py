"""Real parts for every test: Azurite, the simulator, and clients made from the environment it gives."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from shared import app
from shared.app import Clients
from shared.clients.http import Patience
from shared.events import received
from shared.rules import DRIFT
from shared.settings import Settings
from simulator import Simulator, Tenant, load
from simulator.azurite import Azurite
from simulator.eventgrid import EventGrid
from simulator.host import FunctionsHost

ROOT = Path(__file__).parent.parent

# Properties are about what comes out; how long it takes on a machine that is busy with other tests proves nothing.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

QUICK = Patience(attempts=3, connect=5, read=5, backoff=0.02, longest_wait=2, total=12)
"""Short waits: what the tests prove does not depend on how long they are."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take minutes first, so that the others run beside them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


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


class Wired:
    """A watch whose subscriptions report to it: Event Grid delivers over HTTP, settle ticks every minute."""

    def __init__(self, watch: Watch, azurite: Azurite, grid: EventGrid, host: FunctionsHost, clients: Clients) -> None:
        self.watch = watch
        self.azure = watch.azure
        self.grid = grid
        self.host = host
        self.azurite = azurite
        self.clients = clients

    async def scan(self, now: datetime) -> app.Report:
        """A scan and the settle that follows it; the story goes on until then, unheard."""
        self.watch.advance(now)
        self.azure.now = now
        report = await app.scan(self.clients, self.watch.settings, now)
        await app.settle(self.clients, self.watch.settings, now)
        return report

    async def minutes(self, number: int) -> None:
        """Let minutes go by: the story, the deliveries, and settle at the end of each."""
        for _ in range(number):
            now = self.azure.now + timedelta(minutes=1)
            self.watch.advance(now)
            await self.grid.run(now)
            await app.settle(self.clients, self.watch.settings, now)

    def findings(self, *statuses: str) -> dict[str, dict[str, Any]]:
        """The stored findings about rights by rule, open ones unless said otherwise."""
        rows = [row for row in self.azurite.rows("findings") if row["RowKey"].startswith("f-")]
        wanted = statuses or ("open",)
        return {row["rule"]: row for row in rows if row["status"] in wanted and row["rule"] in DRIFT_RULES}

    def told(self, team: str = "fallback") -> list[str]:
        """The texts of the cards that tell of rights, one a card."""
        texts = [json.dumps(post.body, ensure_ascii=False) for post in self.azure.cards(team)]
        return [text for text in texts if any(word in text for word in ("can no longer", "lost role", "has no right"))]


DRIFT_RULES = frozenset(rule.id for rule in DRIFT)


@asynccontextmanager
async def wired(watch: Watch, azurite: Azurite, **options: Any) -> AsyncIterator[Wired]:
    """Wire a watch up: on_role_change behind a functions host, with the time of the simulated world."""

    async def on_role_change(event: Any) -> None:
        async with app.connect_tables(watch.settings, watch.patience) as tables:
            await app.role_changed(tables, received(event), watch.azure.now)

    async with FunctionsHost(on_role_change) as host, watch.clients() as clients:
        grid = EventGrid(azure=watch.azure, endpoint=host.url, code=host.code, **options)
        yield Wired(watch, azurite, grid, host, clients)


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
