"""`make bench`: the same 20,000 applications through our client and through msgraph-sdk's typed one, side by side.

Every reading is a process of its own, and so is the simulator that they read from: CPU time and peak memory are theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .readings import NOW, PAGE, Figures

ROOT = Path(__file__).parent.parent
LATENCY = 0.1
EXPIRING = 100
SUBSCRIPTIONS, CLUSTERS = 20, 40
BEFORE = ("token for ARM", "subscriptions", "clusters", "token for Graph")
AFTER = ("owners", "owners of service principals", "accounts of owners")
"""What a whole scan asks one after the other around Graph's longest chain, one request each at least."""
RIGHTS = ("identities", "memberships", "role assignments", "roles", "registries")
"""What it asks one after the other beside Graph's listings: the longer of the two chains counts."""


def chain(pages: int, assignment_pages: int = 1) -> int:
    """The longest chain of dependent requests of a whole scan, for so many pages of its longest listings."""
    return len(BEFORE) + max(pages, len(RIGHTS) - 1 + assignment_pages) + len(AFTER)


@contextmanager
def simulator(latency: float = 0, **numbers: int) -> Iterator[Mapping[str, str]]:
    """The environment of a simulated tenant of that size."""
    generated = ",".join(f"{name}={number}" for name, number in numbers.items())
    command = [sys.executable, "-m", "simulator", "--generate", generated, "--latency", str(latency)]
    process = subprocess.Popen([*command, "--now", NOW.isoformat()], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        settings = {name: value for name, value in os.environ.items() if not name.startswith("TEAMS_WEBHOOK_URL")}
        yield settings | json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)


def read(name: str, env: Mapping[str, str]) -> Figures:
    """The figures of one reading; a reading that fails ends the benchmark with its error."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.readings", name], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"the reading {name!r} failed:\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def median(runs: list[Figures]) -> Figures:
    """The median of every figure that is a number."""
    return {
        name: statistics.median(one[name] for one in runs) if isinstance(value, int | float) else value
        for name, value in runs[0].items()
    }


def side_by_side(applications: int, rounds: int) -> Table:
    """Both clients over the same bytes, in turns."""
    with simulator(applications=applications, expiring=EXPIRING) as env:
        read("ours", env)  # The simulator renders its pages once; nobody's time is that.
        runs = [(read("ours", env), read("typed", env)) for _ in range(rounds)]
    ours, typed = (median(list(many)) for many in zip(*runs, strict=True))
    for name in ("count", "kept", "requests", "wire", "plain"):
        if ours[name] != typed[name]:
            sys.exit(f"the readings are not the same: {name} differs")
    found = table(
        f"{applications:,} applications, {ours['requests']:.0f} pages of {PAGE}, no latency; both received "
        f"{ours['wire']:,.0f} bytes ({ours['plain']:,.0f} unpacked) and found the same {len(ours['kept'])} credentials",
        *("", "Fusewatch", "msgraph-sdk, typed", "times"),
    )
    for label, name, scale, form in (
        ("CPU of the reading", "cpu", 1, "{:.3f} s"),
        ("wall time of the reading", "wall", 1, "{:.3f} s"),
        ("CPU before it: imports, token", "cpu_imports", 1, "{:.2f} s"),
        ("CPU before it: a first small answer, loading models", "cpu_warm", 1, "{:.2f} s"),
        ("CPU of the whole process", "cpu_total", 1, "{:.2f} s"),
        ("peak memory before the reading", "peak_before", 2**-20, "{:.0f} MB"),
        ("peak memory", "peak", 2**-20, "{:.0f} MB"),
    ):
        one, other = ours[name] * scale, typed[name] * scale
        found.add_row(label, form.format(one), form.format(other), f"{other / one:,.1f}" if one else "")
    return found


def far_away(applications: int, rounds: int) -> Table:
    """Wall time against the floor: the longest chain of dependent requests times the round trip."""
    pages = -(-applications // PAGE)
    found = table(
        f"{LATENCY * 1000:.0f} ms latency a request, from a cold start after the imports; wall time against the floor",
        *("", "requests to Graph", "chain", "floor", "wall", "ratio", "CPU"),
    )

    def row(label: str, figures: Figures, name: str, chain: int) -> None:
        floor, wall = chain * LATENCY, figures[name]
        cells = (f"{figures['requests']:.0f}", str(chain), f"{floor:.2f} s", f"{wall:.2f} s", f"{wall / floor:.2f}")
        found.add_row(label, *cells, f"{figures['cpu']:.2f} s")

    with simulator(LATENCY, applications=applications, expiring=EXPIRING) as env:
        read("cold", env)
        row("applications", median([read("cold", env) for _ in range(rounds)]), "wall_graph", pages)
    numbers = {"applications": applications, "service_principals": applications, "expiring": EXPIRING}
    numbers |= {"subscriptions": SUBSCRIPTIONS, "clusters": CLUSTERS, "on_service_principals": CLUSTERS // 10}
    with simulator(LATENCY, **numbers) as env:
        read("scan", env)
        scan = median([read("scan", env) for _ in range(rounds)])
    label = f"dry run: {scan['count']:,.0f} objects, {scan['findings']:.0f} findings"
    row(label, scan, "wall", chain(pages))
    row("  of it from the first request to Graph on", scan, "wall_graph", chain(pages) - len(BEFORE))
    steps = ", ".join((*BEFORE, f"{pages} pages", *AFTER))
    found.caption = f"the dry run's chain: {steps}; peak memory {scan['peak'] / 2**20:.0f} MB"
    return found


def bytes_an_application() -> Table:
    """Whole objects against $select, for the decision in docs/design.md."""
    with simulator(applications=PAGE) as env:
        sizes: list[Any] = read("sizes", env)["sizes"]
    found = table(
        "bytes an object: whole against $select",
        *("", "whole", "gzip", "$select", "gzip"),
    )
    for name, *numbers in sizes:
        found.add_row(name, *(f"{number:,}" for number in numbers))
    found.caption = "$select adds the keys of certificates, which the simulator has and the recordings have not"
    return found


def table(title: str, first: str, *headings: str) -> Table:
    """A plain table: one column of names, the others of numbers."""
    made = Table(
        title=title, box=None, title_justify="left", caption_justify="left", title_style="bold", pad_edge=False
    )
    made.add_column(first)
    for heading in headings:
        made.add_column(heading, justify="right")
    return made


def main() -> None:
    """Measure and print; only a reading that fails, or that reads something else, is an error."""
    parser = argparse.ArgumentParser(prog="python -m bench.graph")
    parser.add_argument("--applications", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3, help="each figure is the median of so many")
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    for part in (
        side_by_side(options.applications, options.rounds),
        far_away(options.applications, options.rounds),
        bytes_an_application(),
    ):
        console.print(part)
        console.print()
    console.print(f"Every figure is the median of {options.rounds}; each reading is a process of its own.")


if __name__ == "__main__":
    main()
