"""`AZ=az python -m tests.az_flags` writes tests/az_commands.json: each az command that a runbook uses, with its flags.

Taken from the real command line (azure-cli of PyPI) by its help; the file says which version it was.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from shared.needs import ATTACH, GRANT
from shared.rule import Runbook
from shared.rules import RULES

FILE = Path(__file__).parent / "az_commands.json"
_FLAG = re.compile(r"--[a-z][a-z0-9-]*|(?<![\w-])-[a-z]\b")


def lines() -> Iterator[str]:
    """Every command of every runbook as it stands in the source; what {object} stands for is tried both ways."""
    yield from (GRANT, ATTACH)
    for rule in RULES:
        for runbook in rule.runbooks.values():
            yield from variants(runbook)


def variants(runbook: Runbook) -> Iterator[str]:
    """The commands of a runbook, and those that its text names."""
    texts = (runbook.durable, runbook.caveat, runbook.symptom, runbook.cause)
    named = [found for text in texts for found in re.findall(r"\baz [a-z][a-z -]*[a-z]", text)]
    for line in (*runbook.confirm.splitlines(), *runbook.fix.splitlines(), *named):
        yield from (line.replace("{object}", kind) for kind in (("app", "sp") if "{object}" in line else ("",)))


def commands(line: str) -> Iterator[list[str]]:
    """The words of each az command in a line, one in `$( )` included; raises ValueError if the shell cannot read it."""
    for found in re.finditer(r"(?:^|\$\()(az [^)]*)", line):
        yield shlex.split(found[1])[1:]


def split(words: Iterable[str], known: Iterable[str]) -> tuple[str, list[str]]:
    """The command, the longest that is known or all words before the first flag, and the flags."""
    every = list(words)
    head = list(takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, every))
    names = set(known)
    name = next((" ".join(head[:n]) for n in range(len(head), 0, -1) if " ".join(head[:n]) in names), " ".join(head))
    return name, [word.partition("=")[0] for word in every if re.match(r"--?[a-z]", word)]


def described(az: str, command: str) -> tuple[str, list[str]]:
    """The command as az calls it, and all its flags; raises LookupError if az knows none of that name.

    Prose goes on after the name of a command, and az answers for the part that it knows.
    """
    done = subprocess.run([az, *command.split(), "--help"], capture_output=True, text=True, check=False)
    name = re.search(r"^Command\s+az ([a-z0-9 -]+?)(?: :|\n)", done.stdout, re.MULTILINE)
    if done.returncode or not name:
        raise LookupError(f"az knows no command {command}")
    found = set()
    for line in done.stdout.partition("\nExamples")[0].splitlines():
        if re.match(r"    --?[a-z]", line):
            found |= set(_FLAG.findall(re.split(r"\s:\s|\[", line)[0]))
    return name[1].strip(), sorted(found)


def main() -> int:
    """Write the file; raises LookupError when a runbook uses a command that az does not know."""
    az = os.environ.get("AZ", "az")
    version = json.loads(subprocess.run([az, "version"], capture_output=True, text=True, check=True).stdout)
    wanted = {split(words, ())[0] for line in lines() for words in commands(line)}
    found = dict(described(az, command) for command in sorted(wanted))
    body = {"azure-cli": version["azure-cli"], "commands": found}
    FILE.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
