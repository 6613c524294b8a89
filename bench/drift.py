"""The event path with a slow Azure: event to durable record, end of the grace to the accepted card, and a clean-up."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from shared import app
from shared.settings import Settings
from simulator import Simulator, load
from simulator.azurite import Azurite
from simulator.events import event

from .graph import broken, end

LATENCY = 0.1
MORNING = datetime(2026, 10, 12, 6, tzinfo=UTC)
MANY = 500
TICK = 60
"""Settle runs every minute: what falls due just after a tick waits so many seconds for the next one."""
RECORD, TELL, DRAIN = 1, 90, 60
"""The most seconds: event to record, end of the grace to the accepted card, and of a settle that has many events."""


class Relay(threading.Thread):
    """Stands before Azurite and lets every request travel for LATENCY, as the simulator does for Azure."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.latency = 0.0
        self.port = 0
        self._target = port
        self._ready = threading.Event()
        self.start()
        self._ready.wait()

    def run(self) -> None:
        """Serve until the process ends."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        loop = asyncio.get_running_loop()

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, late: bool) -> None:
            while data := await source.read(65_536):
                loop.call_later(self.latency if late else 0, sink.write, data)
            loop.call_later(self.latency, sink.close)

        with contextlib.suppress(OSError):
            await asyncio.gather(pump(reader, back, late=True), pump(there, writer, late=False))


@contextmanager
def world() -> Iterator[tuple[Simulator, Settings, Relay]]:
    """The retailer with its identities, Azurite beside it, and the settings for both."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(load("retailer")) as azure,
        patch.dict(os.environ, azure.environment),
    ):
        azurite = Azurite(Path(folder))
        azurite.start()
        try:
            relay = Relay(azurite.port)
            storage = azurite.connection_string.replace(f":{azurite.port}/", f":{relay.port}/")
            yield azure, Settings.from_env({**azure.environment, "AzureWebJobsStorage": storage}), relay
        finally:
            azurite.stop()


async def begin(azure: Simulator, settings: Settings, extra: int) -> list[str]:
    """One scan of a healthy tenant, with so many assignments more of one identity; gives the ids to delete."""
    azure.tenant.advance(MORNING)
    azure.now = MORNING
    kubelet = azure.tenant.cluster("shop-prod").kubelet_object_id
    pull = next(one for one in azure.tenant.access if one.principal_id == kubelet)
    group = pull.scope.rpartition("/providers/")[0]
    made = [
        azure.actions.assign(kubelet, "Reader", f"{group}/providers/Microsoft.KeyVault/vaults/v{number}", "Tomas Berg")
        for number in range(extra)
    ]
    async with app.connect(settings) as clients:
        await app.scan(clients, settings, MORNING)
        await app.settle(clients, settings, MORNING)
    return [pull.id, *(one.id for one in made)]


async def measure(extra: int) -> dict[str, float]:
    """Seconds of each stage, and the requests to Azure of the two settles."""
    with world() as (azure, settings, relay):
        ids = await begin(azure, settings, extra)
        azure.latency = relay.latency = LATENCY
        before = len(azure.tenant.log)
        for one in ids:
            azure.actions.unassign(one, "Tomas Berg")
        events = [event(one, azure.tenant.id, "EventGridSchema") for one in azure.tenant.log[before:]]
        began = time.perf_counter()
        # The host runs events beside each other; each invocation connects by itself, token included.
        await asyncio.gather(*(keep(settings, one, azure.now) for one in events[:1]))
        first = time.perf_counter() - began
        for start in range(1, len(events), 50):
            await asyncio.gather(*(keep(settings, one, azure.now) for one in events[start : start + 50]))
        figures = {"record": first}
        for name, moment in (("drain", MORNING + timedelta(minutes=1)), ("tell", MORNING + timedelta(minutes=6))):
            asked, began = len(azure.requests), time.perf_counter()
            azure.now = moment
            async with app.connect(settings) as clients:
                settled = await app.settle(clients, settings, moment)
            figures[name] = time.perf_counter() - began
            figures[f"{name} requests"] = len(azure.requests) - asked
        assert settled.accepted, "no card was accepted"
        return figures


async def keep(settings: Settings, one: dict[str, object], now: datetime) -> None:
    """What on_role_change does with an event."""
    async with app.connect_tables(settings) as tables:
        await app.role_changed(tables, one, now)


def measured(many: int = MANY) -> tuple[Table, list[str]]:
    """The figures beside what issue and design ask for, and what broke."""
    one, all_of_them = asyncio.run(measure(0)), asyncio.run(measure(many - 1))
    found = Table(
        box=None,
        title=f"the event path, {LATENCY * 1000:.0f} ms a request to Azure and to storage",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for heading in ("", "seconds", "at most", "requests to Azure"):
        found.add_column(heading, justify="left" if not heading else "right")
    problems: list[str] = []
    for label, seconds, most, requests in (
        ("event to durable record, connecting included", one["record"], RECORD, 0),
        ("one event: settle drains the inbox", one["drain"], None, one["drain requests"]),
        ("one event: settle looks again, and the card is accepted", one["tell"], None, one["tell requests"]),
        (f"end of the grace to the accepted card: that, and {TICK} s for the tick", one["tell"] + TICK, TELL, 0),
        (f"{many} events: settle drains the inbox", all_of_them["drain"], DRAIN, all_of_them["drain requests"]),
        (f"{many} events: settle looks again and tells", all_of_them["tell"], DRAIN, all_of_them["tell requests"]),
    ):
        found.add_row(label, f"{seconds:.2f}", str(most or ""), f"{requests:.0f}" if requests else "")
        problems += broken(label, seconds, most=most or math.inf)
    found.caption = "storage by connection string; an identity's first token is one request more"
    found.caption_justify = "left"
    return found, problems


def main() -> None:
    """Measure and print; a bound that is broken is an error."""
    found, problems = measured()
    Console(width=120, highlight=False).print(found)
    end(problems)


if __name__ == "__main__":
    main()
