"""The command line: the same use cases as the functions, for a person at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

from .commands import drift, findings, preflight, scan, silence
from .commands import report as reporting
from .commands.arguments import moment
from .commands.output import OutputError
from .preflight import STORELESS
from .settings import Settings, SettingsError
from .text import amounts, visible

DONE, FOUND, USAGE, PARTIAL = 0, 1, 2, 3
"""Exit statuses: done; findings at or above --fail-on; wrong usage or settings; the scan was partial or failed, or a
service that was needed did not answer or refused."""


def main(arguments: Sequence[str], env: Mapping[str, str], now: datetime) -> int:
    """Run one command and return its exit status; errors are one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter gets its number.
            stream.reconfigure(errors="backslashreplace")
    options = _parser(env).parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        settings = Settings.from_env(env)
    except SettingsError as error:
        print(f"fusewatch: {error}", file=sys.stderr)
        return USAGE
    for warning in settings.warnings:
        print(f"fusewatch: warning: {warning}", file=sys.stderr)
    if getattr(options, "dry_run", False) is False and not (settings.tables_endpoint or settings.storage.reveal()):
        print(
            "fusewatch: no storage: set TABLES_ENDPOINT, or AzureWebJobsStorage=UseDevelopmentStorage=true for "
            f"Azurite; {STORELESS}",
            file=sys.stderr,
        )
        return USAGE
    return asyncio.run(_run(options, settings, options.now or now))


async def _run(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    # Imported here: the SDKs take a second to load, and --help needs none of them.
    from .clients.http import ReadError
    from .clients.storage import StorageError
    from .clients.teams import DeliveryError

    try:
        status: int = await options.run(options, settings, now)
    except SettingsError as error:
        print(f"fusewatch: {error}", file=sys.stderr)
        return USAGE
    except (ReadError, StorageError, DeliveryError, OutputError) as error:
        print(f"fusewatch: {visible(str(error), 1000)}", file=sys.stderr)
        return USAGE if isinstance(error, OutputError) else PARTIAL
    return status


async def _settle(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from . import app

    async with app.connect(settings) as clients:
        settled = await app.settle(clients, settings, now)
    cards, waiting = amounts({"cards": settled.accepted}), amounts({"findings": settled.waiting})
    said = f"{cards} accepted, {settled.refused} refused, {waiting} still to be told"
    if settled.until:
        waits = "1 waits for its" if settled.grace == 1 else f"{settled.grace} wait for their"
        said += f", {waits} grace until {settled.until:%H:%M} UTC"
    print(said, file=sys.stderr)
    return PARTIAL if settled.refused else DONE


async def _webhook_test(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .clients.http import Patience, session
    from .clients.teams import Teams
    from .owners import team_key

    if options.mention and not _PERSON.match(options.mention):
        print("fusewatch: --mention takes an object id or a user principal name", file=sys.stderr)
        return USAGE
    team = team_key(options.team) if options.team else ""
    receiver = settings.receivers.get(team)
    if receiver is None:
        known = ", ".join(sorted(one.name for one in settings.receivers.values())) or "none"
        print(f"fusewatch: no receiver is set for {options.team or 'the fallback'}; set are: {known}", file=sys.stderr)
        return USAGE
    if receiver.problem:
        # What is wrong with it has been said, as with every command.
        print(f"fusewatch: no card was sent: set {receiver.name} right first", file=sys.stderr)
        return USAGE
    from .card import greeting

    async with session(Patience()) as pool:
        await Teams(pool).send(receiver, greeting(now, options.mention or ""))
    if settings.tables_endpoint or settings.storage.reveal():
        await _takes_cards(settings, team)
    if options.mention:
        print("Teams may drop a card that mentions somebody whom it does not know", file=sys.stderr)
    print(f"{receiver.name} accepted a test card; look whether it shows in the channel", file=sys.stderr)
    return DONE


_PERSON = re.compile(r"[\w.'+#%-]+@[\w.-]+\Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
"""A user principal name (a guest's holds #EXT#) or an object id."""


async def _takes_cards(settings: Settings, team: str) -> None:
    """Forget that a receiver refused cards, now that it took one; without storage there is nothing to forget."""
    from . import app
    from .clients.storage import StorageError

    try:
        async with app.connect(settings) as clients:
            assert clients.tables
            tenant_id = await app.watched_tenant(clients.tables)
            if tenant_id:
                await app.takes_cards(clients.tables, tenant_id, team)
    except StorageError as error:
        print(f"fusewatch: warning: {visible(str(error), 1000)}", file=sys.stderr)


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--verbose", action="store_true", help="log what is done to stderr")
    shared.add_argument("--now", type=moment, metavar="DATE", help="judge as of this moment (UTC) instead of now")
    listing = argparse.ArgumentParser(add_help=False)
    listing.add_argument("--format", choices=("table", "json", "csv"), default="table")
    listing.add_argument("--output", metavar="FILE", help="write the findings there instead of to stdout")

    parser = argparse.ArgumentParser(
        prog="python -m shared",
        description="Fusewatch: watches the identities that AKS clusters run on. Settings come from the environment.",
        epilog="Exit status: 0 done, 1 findings at or above --fail-on, 2 wrong usage or settings, 3 the scan was "
        "partial or failed, or storage, Azure or a channel did not answer or refused, 4 preflight found a rule blind.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    scan.add(commands, shared, listing)
    settle = commands.add_parser("settle", parents=[shared], help="tell the owners what is due")
    settle.set_defaults(run=_settle)
    findings.add(commands, shared, listing)
    silence.add(commands, shared, env)
    drift.add(commands, shared, env)
    preflight.add(commands, shared, env)
    reporting.add(commands, shared, env)
    test = commands.add_parser("webhook-test", parents=[shared], help="send a test card")
    test.add_argument("--team", help="to that team's receiver instead of the fallback")
    test.add_argument("--mention", metavar="UPN_OR_ID", help="mention this person, to see whether Teams resolves it")
    test.set_defaults(run=_webhook_test, dry_run=True)
    return parser
