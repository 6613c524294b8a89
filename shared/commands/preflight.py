"""`preflight`: whether the app sees everything that it should."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..model import TENANT
from ..preflight import UNKNOWN, Check, Outcome, Preflight
from ..settings import Settings
from ..text import visible
from .output import emit, rich_text

if TYPE_CHECKING:
    from rich.console import RenderableType

DONE, USAGE, PARTIAL, BLIND = 0, 2, 3, 4
"""Exit statuses; the greatest that applies is given. USAGE: a setting is wrong. PARTIAL: a fault that may pass."""

_STYLES = {
    Outcome.WORKS: "green",
    Outcome.REFUSED: "bold red",
    Outcome.WRONG: "bold red",
    Outcome.FAULT: "yellow",
    Outcome.UNTRIED: "dim",
    Outcome.OFF: "dim",
}


def add(commands: Any, shared: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add this command to a parser."""
    del env
    parser = commands.add_parser(
        "preflight",
        parents=[shared],
        help="try each read once: what is refused, which rules are blind, what mends it",
        epilog="Exit status: 0 everything needed works, 2 a setting is wrong, 3 a fault that may pass, 4 a rule is "
        "blind; the greatest that applies.",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=_preflight, dry_run=True)


async def _preflight(options: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from .. import app

    storage = bool(settings.tables_endpoint or settings.storage.reveal())
    async with app.connect(settings, storage=storage) as clients:
        found = await app.preflight(clients, settings, now)
    if options.format == "json":
        text = json.dumps(record(found), indent=2) + "\n"
        emit(lambda file: file.write(text))
    else:
        emit(lambda file: rich_text(file, *_parts(found)))
    if found.blind:
        return BLIND
    if found.faults:
        return PARTIAL
    return USAGE if found.wrong else DONE


def record(found: Preflight) -> dict[str, Any]:
    """A preflight as the JSON that scripts read; these keys are stable."""
    return {
        "identity": {
            "object_id": found.identity.object_id,
            "app_id": found.identity.app_id,
            "user": found.identity.upn,
            "as_app": found.as_app,
        },
        "checks": [
            {
                "what": one.what,
                "outcome": one.outcome.value,
                "scope": one.scope,
                "reason": one.reason,
                "role": one.source.role if one.source else "",
                "needs": one.source.needs if one.source else "",
                "without": one.source.without if one.source else "",
                "blind": list(one.rules),
                "commands": one.command.splitlines(),
            }
            for one in found.checks
        ],
        "blind": {name: sorted({one.scope for one in checks}) for name, checks in found.blind.items()},
    }


def _parts(found: Preflight) -> Iterator[RenderableType]:
    """What is shown of a preflight, from the top."""
    from rich.table import Table
    from rich.text import Text

    who = found.identity
    name = (
        f"the app {who.app_id}"
        if who.app_id
        else f"the user {who.upn}"
        if who.upn
        else "nobody, since no token could be read"
    )
    yield Text(visible(f"Tried as {name}{f', object id {who.object_id}' if who.object_id else ''}."))
    if not found.as_app and who.object_id:
        yield Text("That is who is signed in to the Azure CLI, not the app: the app may read more, or less.")
    for reason in sorted({one.no_token for one in found.checks} - {""}):
        yield _text(f"There is no token: {reason}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("OUTCOME", "READ", "WHERE", "WHY"):
        table.add_column(heading, overflow="fold")
    alike: dict[tuple[str, Outcome, str], list[str]] = {}
    for one in found.checks:
        alike.setdefault((one.what, one.outcome, _why(one)), []).append(one.scope)
    for (what, outcome, why), scopes in alike.items():
        # Text, not str: rich would read names in square brackets as markup.
        table.add_row(Text(outcome.value, style=_STYLES[outcome]), *map(_text, (what, _where(scopes), why)))
    yield table
    yield from _mends(found)
    blind = found.blind
    # What ails them all is said above, once.
    tokenless = [name for name, checks in blind.items() if all(one.no_token for one in checks)]
    if tokenless:
        yield Text(f"BLIND for want of a token: {', '.join(tokenless)}")
    for name, checks in blind.items():
        if name in tokenless:
            continue
        reads = ", ".join(sorted({one.what for one in checks}))
        places = sorted({one.scope for one in checks} - {TENANT})
        where = f" in {_where(places)}" if places else ""
        yield Text(visible(f"BLIND: {name}{where}: {reads}", 1000))
    if not blind:
        yield Text(
            "No rule is known to be blind; not everything could be tried." if found.faults else "No rule is blind."
        )


def _mends(found: Preflight) -> Iterator[RenderableType]:
    """The commands that grant what is missing, each once; on lines of their own, so that they can be copied."""
    from rich.text import Text

    commands = {one.command: one for one in found.checks if one.command}
    for command, one in commands.items():
        assert one.source
        yield Text(f"\n{one.source.role} mends it:")
        yield command
    if any(UNKNOWN in command for command in commands):
        yield Text(f"{UNKNOWN}: the object id of the app's identity, output principalId of the deployment.")
    if commands:
        yield Text("Or all of it, by an administrator: infra/access/grant TENANT\n")


def _where(scopes: list[str]) -> str:
    if len(scopes) > 1:
        return f"{len(scopes)} subscriptions"
    return "" if scopes[0] == TENANT else scopes[0].removeprefix("/subscriptions/")


def _text(value: str) -> Any:
    from rich.text import Text

    return Text(visible(value, 600))


def _why(check: Check) -> str:
    parts = ["no token" if check.no_token else check.reason]
    if check.outcome is Outcome.REFUSED and check.source:
        if check.command:
            parts.append(f"needs {check.source.needs}")
        parts.append(check.source.without)
    return "; ".join(filter(None, parts))
