"""A process killed at any request: the next run finds the same, and repeats one card at worst."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator import generate
from simulator.azurite import Azurite

from .conftest import ROOT, Start, Watch

NURSERY = """
import asyncio, json, os, signal, sys
from datetime import datetime
import aiohttp, httpx
from shared import app
from shared.settings import Settings

async def run(settings, now):
    async with app.connect(settings) as clients:
        await app.scan(clients, settings, now)
        await app.settle(clients, settings, now)

def counted(owner, name, left, host):
    original = getattr(owner, name)
    async def send(*arguments, **options):
        answer = await original(*arguments, **options)
        left[0] -= host in str(answer.url)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    setattr(owner, name, send)

for line in sys.stdin:
    number, now, host = json.loads(line)
    child = os.fork()
    if child == 0:
        left = [number]
        counted(aiohttp.ClientSession, "_request", left, host)
        counted(httpx.AsyncClient, "send", left, host)
        asyncio.run(run(Settings.from_env(os.environ), datetime.fromisoformat(now)))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Bears one process a line, which scans and settles, and dies when its nth answer comes, before it has seen it."""


class Nursery:
    """A process with everything imported, so that each child costs no more than its work."""

    def __init__(self, watch: Watch) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            cwd=ROOT,
            env={**os.environ, **watch.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, number: int, now: datetime, host: str = "") -> int:
        """The exit status of a run that is killed at its nth answer (of a host, if named), 0 if it ended before."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([number, now.isoformat(), host]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)


@pytest.fixture
def watch(start: Start) -> Watch:
    """A cluster on a secret that ends soon, and another app's secret that does."""
    return start(generate(applications=3, expiring=(1, 3), clusters=1, on_service_principals=1))


@pytest.fixture
def nursery(watch: Watch) -> Iterator[Nursery]:
    one = Nursery(watch)
    yield one
    one.close()


def findings(azurite: Azurite) -> dict[str, Any]:
    rows = azurite.rows("findings")
    assert not [row for row in rows if row["RowKey"].startswith("due-")]
    return {
        row["RowKey"]: (row["status"], row["title"], row["severity"]) for row in rows if row["RowKey"].startswith("f-")
    }


async def test_a_run_killed_at_any_request_loses_nothing_and_repeats_one_card_at_worst(
    watch: Watch, azurite: Azurite, nursery: Nursery
) -> None:
    azure, now = watch.azure, watch.azure.now
    assert nursery.run(0, now) == 0
    whole = findings(azurite)
    assert len(whole) >= 3
    assert len(azure.cards()) == 1
    number = 0
    while True:
        number += 1
        azurite.wipe()
        azure.channels["fallback"].posts.clear()
        status = nursery.run(number, now)
        if status == 0:
            break
        assert status == -signal.SIGKILL, number
        posted = len(azure.cards())
        await watch.run(now + timedelta(minutes=10))
        assert findings(azurite) == whole, number
        count = len(azure.cards())
        assert 1 <= count <= 1 + posted, number
        await watch.settle(now + timedelta(minutes=20))
        assert len(azure.cards()) == count, number
    # It was killed at every request of reading, keeping and telling.
    assert number > 20


async def test_a_run_killed_as_teams_takes_its_card_repeats_that_card_once(
    watch: Watch, azurite: Azurite, nursery: Nursery
) -> None:
    azure, now = watch.azure, watch.azure.now
    host = urlsplit(watch.env["TEAMS_WEBHOOK_URL"]).netloc
    assert nursery.run(1, now, host) == -signal.SIGKILL
    assert len(azure.cards()) == 1
    for minutes in (10, 20):
        await watch.settle(now + timedelta(minutes=minutes))
        assert len(azure.cards()) == 2
    assert findings(azurite)
