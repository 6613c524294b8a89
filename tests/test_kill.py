"""A process killed at any request: the next run finds the same, and repeats one card at worst."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator import generate, load
from simulator.azurite import Azurite
from simulator.events import event

from .conftest import ROOT, Start, Watch, day

Row = Mapping[str, Any]

NURSERY = """
import asyncio, json, os, signal, sys
from datetime import datetime
import aiohttp, httpx
from shared import app
from shared.settings import Settings

async def run(settings, now, what, event):
    if what == "event":
        async with app.connect_tables(settings) as tables:
            await app.role_changed(tables, event, now)
        return
    async with app.connect(settings) as clients:
        if what == "run":
            await app.scan(clients, settings, now)
        await app.settle(clients, settings, now)

def counted(owner, name, url_of, left, host, before):
    original = getattr(owner, name)
    def count(url):
        left[0] -= host in str(url)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    async def send(*arguments, **options):
        if before:
            count(url_of(*arguments))
        answer = await original(*arguments, **options)
        if not before:
            count(answer.url)
        return answer
    setattr(owner, name, send)

for line in sys.stdin:
    number, now, host, what, event, before = json.loads(line)
    child = os.fork()
    if child == 0:
        left = [number]
        counted(aiohttp.ClientSession, "_request", lambda session, method, url: url, left, host, before)
        counted(httpx.AsyncClient, "send", lambda client, request: request.url, left, host, before)
        asyncio.run(run(Settings.from_env(os.environ), datetime.fromisoformat(now), what, event))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Bears one process a line, which does some work, and dies before its nth request is sent or as its answer comes."""


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

    def run(
        self,
        number: int,
        now: datetime,
        host: str = "",
        what: str = "run",
        event: Mapping[str, Any] | None = None,
        before: bool = False,
    ) -> int:
        """The exit status of work that is killed at its nth request (to a host, if named), 0 if it ended before."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([number, now.isoformat(), host, what, event, before]) + "\n")
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


killed_at = pytest.mark.parametrize("before", [True, False], ids=["before it is sent", "as its answer comes"])
pytestmark = pytest.mark.long


@killed_at
async def test_a_run_killed_at_any_request_loses_nothing_and_repeats_one_card_at_worst(
    watch: Watch, azurite: Azurite, nursery: Nursery, before: bool
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
        status = nursery.run(number, now, before=before)
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


@pytest.fixture
def retailer(start: Start) -> Watch:
    """The retailer on the day before somebody cleans up."""
    return start(load("retailer"))


@pytest.fixture
def doctor(retailer: Watch) -> Iterator[Nursery]:
    one = Nursery(retailer)
    yield one
    one.close()


MORNING = day("2026-10-12T06:00")
LOSS = MORNING + timedelta(hours=1)


async def begin(retailer: Watch, azurite: Azurite) -> tuple[dict[str, list[Row]], Mapping[str, Any]]:
    """What is stored before the loss, and the event of the loss, which happens here."""
    retailer.advance(MORNING)
    await retailer.run(MORNING)
    tables = {name: azurite.rows(name) for name in ("findings", "baseline", "scans")}
    retailer.azure.now = LOSS
    kubelet = retailer.azure.tenant.cluster("shop-prod").kubelet_object_id
    gone = next(one for one in retailer.azure.tenant.access if one.principal_id == kubelet)
    retailer.azure.actions.unassign(gone.id, "Tomas Berg")
    return tables, event(retailer.azure.tenant.log[-1], retailer.azure.tenant.id, "EventGridSchema")


def again(retailer: Watch, azurite: Azurite, tables: Mapping[str, list[Row]]) -> None:
    """Put storage back to where it was, and take the cards away."""
    azurite.wipe()
    azurite.fill(tables)
    for channel in retailer.azure.channels.values():
        channel.posts.clear()


def about_rights(azurite: Azurite) -> dict[str, Any]:
    return {name: row for name, row in findings(azurite).items() if "shop-prod" in row[1]}


@killed_at
async def test_an_event_killed_at_any_request_is_kept_once(
    retailer: Watch, azurite: Azurite, doctor: Nursery, before: bool
) -> None:
    tables, told = await begin(retailer, azurite)
    for number in range(1, 50):
        again(retailer, azurite, tables)
        if doctor.run(number, LOSS, what="event", event=told, before=before) == 0:
            break
        # Event Grid got no answer, and delivers once more.
        assert doctor.run(0, LOSS, what="event", event=told) == 0
        assert len(azurite.rows("inbox")) == 1, number
    assert number > 2


@killed_at
@pytest.mark.parametrize("minutes", [1, 6], ids=["while it drains the inbox", "while it looks again and tells"])
async def test_a_settle_killed_at_any_request_tells_the_loss_once_and_at_most_twice(
    retailer: Watch, azurite: Azurite, doctor: Nursery, minutes: int, before: bool
) -> None:
    tables, told = await begin(retailer, azurite)
    expected: dict[str, Any] = {}
    for number in range(200):
        again(retailer, azurite, tables)
        assert doctor.run(0, LOSS, what="event", event=told) == 0
        if minutes > 1:
            await retailer.settle(LOSS + timedelta(minutes=1))
        status = doctor.run(number, LOSS + timedelta(minutes=minutes), what="settle", before=before)
        posted = len(retailer.azure.cards())
        # A lease that nobody gave back ends by itself.
        for later in (minutes + 6, minutes + 13):
            await retailer.settle(LOSS + timedelta(minutes=later))
        found = about_rights(azurite)
        expected = expected or found
        assert found == expected, number
        assert sorted(rule for rule, *_ in sorted(found.values())) and len(found) == 2
        assert 1 <= len(retailer.azure.cards()) <= 1 + posted, number
        assert not [row for row in azurite.rows("inbox") if row["PartitionKey"] == "event"]
        if number and status == 0:
            break
    assert number > 10


@pytest.fixture
def changing(start: Start) -> Watch:
    """Three clusters and three secrets that end soon."""
    return start(generate(applications=3, expiring=(1, 3), clusters=2, on_service_principals=1, service_principals=3))


@pytest.fixture
def midwife(changing: Watch) -> Iterator[Nursery]:
    one = Nursery(changing)
    yield one
    one.close()


@killed_at
@pytest.mark.timeout(600)
async def test_a_later_run_killed_at_any_request_ends_like_one_that_was_not(
    changing: Watch, azurite: Azurite, midwife: Nursery, before: bool
) -> None:
    """A secret is mended, another comes nearer, a right is lost: nothing is told twice but for the card in flight."""
    azure, tenant, now = changing.azure, changing.azure.tenant, changing.azure.now
    await changing.run(now)
    tables = {name: azurite.rows(name) for name in ("findings", "baseline", "scans")}
    later = now + timedelta(days=9)
    mended = tenant.applications.find(next(one.id for one in tenant.applications if one.name == "app-000003"))
    assert mended
    mended.secrets.clear()
    kubelet = tenant.cluster("cluster-0001").kubelet_object_id
    azure.now = later
    azure.actions.unassign(next(one for one in tenant.access if one.principal_id == kubelet).id, "Person 0")

    async def finish() -> tuple[dict[str, Any], dict[str, Any], int]:
        await changing.run(later + timedelta(minutes=10))
        await changing.settle(later + timedelta(minutes=20))
        return findings(azurite), announced(azurite), len(azure.cards())

    again(changing, azurite, tables)
    assert midwife.run(0, later) == 0
    whole, who, told = await finish()
    assert {"resolved", "open"} == {status for status, *_ in whole.values()}
    number = 0
    while True:
        number += 1
        again(changing, azurite, tables)
        status = midwife.run(number, later, before=before)
        found, known, count = await finish()
        assert found == whole, number
        assert known == who, number
        assert told - 1 <= count <= told + 1, (number, count, told)
        if status == 0:
            break
        assert status == -signal.SIGKILL, number
    assert number > 30


def announced(azurite: Azurite) -> dict[str, set[tuple[str, str]]]:
    """Which receiver was told of what, and why."""
    return {
        row["RowKey"]: {(one["receiver"], one["reason"]) for one in json.loads(row["announced"])}
        for row in azurite.rows("findings")
        if row["RowKey"].startswith("f-")
    }
