"""The triggers of the Functions app: decode, call shared.app, let exceptions out.

Nothing heavy is imported here: the host gives a start 30 seconds, and an import error leaves no function at all.
"""

import logging
import os
from datetime import UTC, datetime

import azure.functions as func

from shared.settings import Settings, schedule

app = func.FunctionApp()

# The addresses of requests do not belong into the log of an unattended app.
for noisy in ("azure", "httpx", "httpcore", "aiohttp"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

_tenant_id = ""
"""The tenant that the last run found, which an idle settle need not ask for again."""


@app.timer_trigger(arg_name="timer", schedule=schedule(os.environ, "SCAN_SCHEDULE"))
async def scan_tenant(timer: func.TimerRequest) -> None:
    """Read the tenant, judge it, keep what changed."""
    global _tenant_id
    from shared import app as fusewatch

    settings = Settings.from_env(os.environ)
    for warning in settings.warnings:
        # A wrong schedule or receiver stops nothing, so nobody would hear of it.
        logging.getLogger("fusewatch").warning("%s", warning)
    async with fusewatch.connect(settings) as clients:
        report = await fusewatch.scan(clients, settings, datetime.now(UTC))
    _tenant_id = report.snapshot.tenant_id


@app.event_grid_trigger(arg_name="event")
async def on_role_change(event: func.EventGridEvent) -> None:
    """Keep an event of Resource Manager, in either schema, until settle deals with it."""
    from shared import app as fusewatch
    from shared.events import received

    settings = Settings.from_env(os.environ)
    async with fusewatch.connect_tables(settings) as tables:
        await fusewatch.role_changed(tables, received(event), datetime.now(UTC))


@app.timer_trigger(arg_name="timer", schedule=schedule(os.environ, "SETTLE_SCHEDULE"))
async def settle(timer: func.TimerRequest) -> None:
    """Tell the owners what is due."""
    global _tenant_id
    from shared import app as fusewatch

    settings = Settings.from_env(os.environ)
    async with fusewatch.connect(settings) as clients:
        assert clients.tables
        _tenant_id = _tenant_id or await fusewatch.watched_tenant(clients.tables)
        await fusewatch.settle(clients, settings, datetime.now(UTC), _tenant_id)
