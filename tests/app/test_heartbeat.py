"""The weekly card is sent once a week, by settle, whatever happens to it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared import app
from shared.clients.other_rows import Appointment, appointment_row
from shared.clients.tables import Tables
from simulator import Fault

from ..conftest import ROOT, Azurite, Watch, day
from .test_scan_settle import texts

FIRST = day("2026-03-02T08:00")  # a Monday
EARLY = day("2026-03-01T06:00")


def beats(watch: Watch) -> list[datetime]:
    return [post.at for post in watch.azure.cards() if "Weekly" in texts(post.body)]


async def test_it_comes_every_monday_once(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    now = EARLY
    while now < FIRST + timedelta(days=15):
        await watch.settle(now)
        now += timedelta(hours=6)
    assert beats(watch) == [FIRST + timedelta(days=days, hours=4) for days in (0, 7, 14)]
    text = texts(watch.azure.cards()[-1].body)
    assert "no scan has finished for 15 days" in text


async def test_after_a_long_stop_it_comes_once(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    late = FIRST + timedelta(days=40)
    for minutes in range(3):
        await watch.settle(late + timedelta(minutes=minutes))
    assert beats(watch) == [late]


async def test_further_scans_neither_move_nor_repeat_it(watch: Watch, azurite: Azurite) -> None:
    for hours in (0, 6, 12, 18):
        await watch.scan(EARLY + timedelta(hours=hours))
    row = next(row for row in azurite.rows("findings") if row["RowKey"] == "due.heartbeat")
    assert row["at"] == FIRST.isoformat()
    await watch.run(FIRST)
    await watch.run(FIRST + timedelta(hours=6))
    assert beats(watch) == [FIRST]


async def test_two_overlapping_ticks_send_it_once(
    watch: Watch, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reads what is planned, and is held up until the other is through."""
    await watch.run(EARLY)
    watch.azure.now = FIRST
    through = asyncio.Event()
    read = Tables.list_waiting

    async def held_up(self: Tables, tenant_id: str) -> Any:
        found = await read(self, tenant_id)
        await through.wait()
        return found

    async with watch.clients() as late, watch.clients() as first:
        with monkeypatch.context() as patch:
            patch.setattr(Tables, "list_waiting", held_up)
            waiting = asyncio.create_task(app.settle(late, watch.settings, FIRST))
            await asyncio.sleep(0)
        await app.settle(first, watch.settings, FIRST)
        through.set()
        await waiting
    assert beats(watch) == [FIRST]


async def test_refused_it_is_tried_again(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    watch.azure.add(Fault(path="/workflows/", host="teams", status=500))
    assert (await watch.settle(FIRST)).refused >= 1
    watch.azure.clear()
    await watch.settle(FIRST + timedelta(seconds=30))
    assert beats(watch) == []
    await watch.settle(FIRST + timedelta(minutes=2))
    await watch.settle(FIRST + timedelta(minutes=3))
    assert beats(watch) == [FIRST + timedelta(minutes=2)]


async def test_refused_for_good_it_becomes_a_finding_and_accepted_it_is_forgiven(
    watch: Watch, azurite: Azurite
) -> None:
    watch.azure.tenant.applications.own.clear()
    await watch.run(EARLY)
    watch.azure.add(Fault(path="/workflows/", host="teams", status=410))
    await watch.settle(FIRST)
    assert "receiver-" in {row["RowKey"] for row in azurite.rows("findings")}
    watch.azure.clear()
    report = await watch.scan(FIRST + timedelta(minutes=5))
    assert "receiver_refused" in {one.rule for one in report.findings}
    await watch.settle(FIRST + timedelta(minutes=6))
    assert "receiver-" not in {row["RowKey"] for row in azurite.rows("findings")}
    report = await watch.scan(FIRST + timedelta(minutes=10))
    assert "receiver_refused" not in {one.rule for one in report.findings}


async def test_a_date_that_somebody_put_far_away_is_put_right(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    async with watch.clients() as clients:
        assert clients.tables
        far = Appointment(name="heartbeat", at=day("2999-01-01"))
        await clients.tables.save_rows("findings", [appointment_row(watch.azure.tenant.id, far)])
    await watch.scan(EARLY + timedelta(hours=6))
    row = next(row for row in azurite.rows("findings") if row["RowKey"] == "due.heartbeat")
    assert row["at"] == FIRST.isoformat()


async def test_a_scan_that_began_before_it_was_sent_does_not_plan_it_again(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    await watch.settle(FIRST)
    await watch.scan(FIRST - timedelta(minutes=1))
    await watch.settle(FIRST + timedelta(minutes=1))
    assert beats(watch) == [FIRST]


async def test_without_a_fallback_it_waits_for_the_next_week(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    url = watch.env.pop("TEAMS_WEBHOOK_URL")
    await watch.settle(EARLY + timedelta(hours=1))
    settled = await watch.settle(FIRST)
    watch.env["TEAMS_WEBHOOK_URL"] = url
    assert "due.heartbeat" in {row["RowKey"] for row in azurite.rows("findings")}
    await watch.settle(FIRST + timedelta(hours=1))
    assert beats(watch) == []
    assert settled.accepted == 0
    await watch.settle(FIRST + timedelta(days=7))
    assert beats(watch) == [FIRST + timedelta(days=7)]


KILLED = """
import asyncio, os, signal, sys
from datetime import datetime
import aiohttp
from shared import app
from shared.settings import Settings
send = aiohttp.ClientSession._request
async def dying(self, method, url, **options):
    answer = await send(self, method, url, **options)
    if "/workflows/" in str(url):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
aiohttp.ClientSession._request = dying
async def run():
    settings = Settings.from_env(os.environ)
    async with app.connect(settings) as clients:
        await app.settle(clients, settings, datetime.fromisoformat(sys.argv[1]))
asyncio.run(run())
"""


async def test_killed_when_it_was_accepted_it_is_repeated_once(watch: Watch, azurite: Azurite) -> None:
    await watch.scan(EARLY)
    await watch.settle(EARLY)
    watch.azure.now = FIRST
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, FIRST.isoformat()],
        cwd=ROOT,
        env=os.environ | watch.env,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(beats(watch)) == 1
    for minutes in (10, 20, 30):
        await watch.settle(FIRST + timedelta(minutes=minutes))
    assert len(beats(watch)) == 2


async def test_an_idle_tick_asks_once_for_findings(watch: Watch, azurite: Azurite) -> None:
    await watch.run(EARLY)
    count = len(watch.azure.requests)
    rows = azurite.rows("findings"), azurite.rows("scans")
    async with watch.clients() as clients:
        assert clients.tables
        settled = await app.settle(clients, watch.settings, EARLY + timedelta(minutes=1), watch.azure.tenant.id)
    assert settled == app.Settled()
    assert (azurite.rows("findings"), azurite.rows("scans")) == rows
    assert len(watch.azure.requests) == count
