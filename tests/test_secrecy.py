"""The webhook's address is a secret: whatever fails, it is in no log, exception, row, report or repr."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator

import pytest

from shared.clients.http import session
from shared.clients.teams import DeliveryError, Teams
from shared.settings import Receiver, Secret
from simulator import Fault
from simulator.azurite import Azurite

from .conftest import QUICK, ROOT, Watch, day

NOW = "2026-09-13T06:00Z"


def secrets(watch: Watch) -> list[str]:
    """What may not be seen: each address, its signature, and the flow's id in its path."""
    urls = [value for name, value in watch.env.items() if name.startswith("TEAMS_WEBHOOK_URL")]
    parts = [url.rsplit("sig=", 1)[1] for url in urls] + [url.split("/workflows/")[1].split("/")[0] for url in urls]
    return [*urls, *parts]


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger at DEBUG."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "aiohttp", "aiohttp.client", "azure", "azure.core", "azure.identity", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield caplog


def chain(error: BaseException) -> str:
    """All that an exception and whatever led to it could show."""
    shown, seen = "", set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            shown += "".join(traceback.format_exception(one)) + repr(one) + repr(one.args) + repr(vars(one))
            pending += [one.__cause__, one.__context__]
    return shown


FAULTS = {
    "400": Fault(path="/workflows/", host="teams", status=400),
    "401": Fault(path="/workflows/", host="teams", status=401),
    "410": Fault(path="/workflows/", host="teams", status=410),
    "429": Fault(path="/workflows/", host="teams", status=429, retry_after=0.1),
    "500": Fault(path="/workflows/", host="teams", status=500),
    "redirect": Fault(path="/workflows/", host="teams", redirect="https://127.0.0.1:1"),
    "reset": Fault(path="/workflows/", host="teams", reset="before"),
    "hang": Fault(path="/workflows/", host="teams", hang=True),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failing_receiver_says_nothing_of_its_address(
    watch: Watch, everything: pytest.LogCaptureFixture, fault: str
) -> None:
    one = FAULTS[fault]
    watch.azure.add(Fault(**{name: value for name, value in vars(one).items() if name not in ("seen", "happened")}))
    receiver = watch.settings.receivers[""]
    async with session(QUICK) as pool:
        with pytest.raises(DeliveryError) as caught:
            await Teams(pool, QUICK if fault != "hang" else _hurried()).send(receiver, {"type": "message"})
    assert receiver.name in str(caught.value)
    for secret in secrets(watch):
        assert secret not in chain(caught.value)
        assert secret not in everything.text


@pytest.mark.parametrize(
    "url",
    [
        "https://nobody.invalid:443/workflows/abc/triggers/manual?sig=THE-SECRET",
        "https://127.0.0.1:1/workflows/abc?sig=THE-SECRET",
        "https://[::1/workflows?sig=THE-SECRET",
        "http://example.com\\@127.0.0.1/?sig=THE-SECRET",
    ],
)
async def test_an_address_that_leads_nowhere_is_not_repeated(everything: pytest.LogCaptureFixture, url: str) -> None:
    async with session(QUICK) as pool:
        with pytest.raises(DeliveryError) as caught:
            await Teams(pool, QUICK).send(Receiver(name="TEAMS_WEBHOOK_URL_X", url=Secret(url)), {})
    assert "TEAMS_WEBHOOK_URL_X" in str(caught.value)
    assert "THE-SECRET" not in chain(caught.value) + everything.text


def _hurried() -> object:
    from shared.clients.http import Patience

    return Patience(attempts=2, connect=1, read=0.5, backoff=0.01, longest_wait=1, total=3)


async def test_the_settings_do_not_show_it(watch: Watch) -> None:
    for secret in secrets(watch):
        assert secret not in repr(watch.settings) + str(watch.settings) + repr(watch.settings.receivers)
    assert watch.settings.storage.reveal() not in repr(watch.settings)


def test_a_whole_run_leaves_no_trace_of_it(watch: Watch, azurite: Azurite) -> None:
    watch.advance(day(NOW))
    watch.azure.now = day(NOW)
    watch.azure.add(Fault(path="/workflows/", host="teams", status=500, times=2))
    watch.azure.add(Fault(path="/workflows/", host="teams", reset="after", times=1))
    debugged = (
        "import logging, sys, runpy; logging.basicConfig(level=logging.DEBUG);"
        "sys.argv = ['shared', *sys.argv[1:]]; runpy.run_module('shared', run_name='__main__')"
    )
    output = ""
    for arguments in (["scan", "--now", NOW], ["settle", "--now", NOW], ["webhook-test"], ["findings"]):
        done = subprocess.run(
            [sys.executable, "-c", debugged, *arguments, "--verbose"],
            cwd=ROOT,
            env={**os.environ, **watch.env, "PYTHONASYNCIODEBUG": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output += done.stdout + done.stderr
    assert "DEBUG:" in output
    rows = json.dumps([azurite.rows(table) for table in ("findings", "baseline", "scans", "inbox")], default=str)
    for secret in secrets(watch):
        assert secret not in output
        assert secret not in rows
