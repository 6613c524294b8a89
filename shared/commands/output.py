"""What a command says on stdout or in a file, whole or with an error that names the place."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..model import TENANT, Unread
from ..sources import named
from ..text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType


class OutputError(Exception):
    """What a command says could not be written."""


def emit(write: Callable[[TextIO], object], path: str = "", newline: str | None = None) -> None:
    """Let something be written to a file, or to stdout without a path; raises OutputError."""
    try:
        if path:
            with Path(path).open("w", encoding="utf-8", newline=newline) as file:
                write(file)
        else:
            write(sys.stdout)
            sys.stdout.flush()
    except OSError as error:
        if not path:
            # What is left in the buffer would fail once more when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"could not write {path or 'to stdout'}: {error.strerror}") from error


def rich_text(file: TextIO, *parts: RenderableType) -> None:
    """Write what rich draws, as wide as the terminal, or 200 letters where there is none; a str stays as it is."""
    from rich.console import Console

    console = Console(file=file, highlight=False, width=None if file.isatty() else 200)
    # On a broken pipe rich would end the program itself, and with status 1.
    with console.capture() as text:
        for part in parts:
            if isinstance(part, str):
                console.out(part, highlight=False)
            else:
                console.print(part)
    file.write(text.get())


def tell_unread(unread: Iterable[Unread]) -> None:
    """Say on stderr what could not be read, why, and what would mend it, a line each and none of them twice."""
    for line in dict.fromkeys(map(_unread, unread)):
        print(f"fusewatch: {visible(line, 1000)}", file=sys.stderr)


def _unread(one: Unread) -> str:
    where = "" if one.scope == TENANT else f" of {one.scope}"
    mend = f"; it needs {one.permission}" if one.permission else ""
    return f"NOT read: {named(one)}{where}: {one.reason}{mend}"
