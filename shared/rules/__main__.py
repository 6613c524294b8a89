"""`python -m shared.rules FILE` writes docs/rules.md; with --check it only says whether the file is up to date."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ..rule import Rule, Runbook
from . import RULES

_HEAD = """# Rules

Generated from the rules themselves by `make docs`; `make check` fails when it is stale. Commands are shown with the
facts they take in capitals. A `confirm` command only reads.

| rule | what it says | severity |
|---|---|---|
"""


def markdown() -> str:
    """The whole of docs/rules.md."""
    rows = "".join(f"| [{rule.id}](#{rule.id}) | {rule.title} | {rule.severities} |\n" for rule in RULES)
    return _HEAD + rows + "".join(_section(rule) for rule in RULES)


def _section(rule: Rule) -> str:
    reads = ", ".join(kind.__name__ for kind in rule.reads) or "nothing but the scan itself"
    lines = [f"\n## {rule.id}\n", f"{rule.summary}\n", f"**Severity**: {rule.severities}.\n", f"**Reads**: {reads}.\n"]
    for variant, runbook in rule.runbooks.items():
        if variant:
            lines.append(f"### {rule.id}: {variant}\n")
        lines += _runbook(runbook)
    lines.append(f"**Source**: <{rule.docs}>\n")
    return "\n".join(lines)


def _runbook(runbook: Runbook) -> list[str]:
    lines = [f"**What you see**: {_plain(runbook.symptom)}\n", f"**Why**: {_plain(runbook.cause)}\n"]
    for label, template in (("Confirm", runbook.confirm), ("Fix now", runbook.fix)):
        if not template.strip():
            continue
        lines.append(f"**{label}**:\n")
        lines.append("```sh\n" + re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), template.strip()) + "\n```\n")
    if runbook.caveat:
        lines.append(f"**Mind**: {_plain(runbook.caveat)}\n")
    if runbook.durable:
        lines.append(f"**For good**: {_plain(runbook.durable)}\n")
    return lines


def _plain(text: str) -> str:
    """Text in which Markdown sees no tag."""
    return text.replace("<", "&lt;")


def main(arguments: list[str]) -> int:
    """Write the file, or compare it; the status is 1 when it is stale."""
    check = "--check" in arguments
    path = Path(next((one for one in arguments if not one.startswith("-")), "docs/rules.md"))
    if not check:
        path.write_text(markdown(), encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == markdown():
        return 0
    print(f"{path} is stale: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
