"""`make bench`: the same 20,000 applications through our client and through msgraph-sdk's typed one, side by side.

Every reading is a process of its own, and so is the simulator that they read from: CPU time and peak memory are theirs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .readings import NOW, PAGE, Figures

ROOT = Path(__file__).parent.parent
LATENCY = 0.1
CHEAPER, FARTHER = 100, 1.3
"""How many times less CPU than the typed client at least, and how many times the floor at most."""
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


def broken(what: str, figure: float, *, least: float = -math.inf, most: float = math.inf) -> list[str]:
    """Which bound a figure breaks, in words; empty if none."""
    if least <= figure <= most:
        return []
    bound = f"at least {least:g}" if figure < least else f"at most {most:g}"
    return [f"{what}: {figure:.2f}, and may be {bound}"]


def end(problems: Iterable[str]) -> None:
    """End the benchmark with what broke, if anything did."""
    if found := "\n".join(problems):
        sys.exit(found)


def side_by_side(applications: int, rounds: int) -> tuple[Table, list[str]]:
    """Both clients over the same bytes, in turns; and what broke."""
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
    times = typed["cpu"] / ours["cpu"]
    found.caption = f"the CPU of the reading: at least {CHEAPER} times less"
    return found, broken("the typed client's CPU, in times of ours", times, least=CHEAPER)


def far_away(applications: int, rounds: int) -> tuple[Table, list[str]]:
    """Wall time against the floor: the longest chain of dependent requests times the round trip; and what broke."""
    pages = -(-applications // PAGE)
    found = table(
        f"{LATENCY * 1000:.0f} ms latency a request, from a cold start after the imports; wall time against the floor",
        *("", "requests to Graph", "chain", "floor", "wall", "ratio", "CPU"),
    )

    problems: list[str] = []

    def row(label: str, figures: Figures, name: str, chain: int) -> None:
        floor, wall = chain * LATENCY, figures[name]
        problems.extend(broken(f"{label.strip()}: wall time, in times of the floor", wall / floor, most=FARTHER))
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
    found.caption = (
        f"at most {FARTHER} times the floor, on a machine that does nothing else; the dry run's chain: "
        f"{steps}; peak memory {scan['peak'] / 2**20:.0f} MB"
    )
    return found, problems


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
    """Measure and print; a bound that is broken is an error, and so is a reading that fails or reads something else."""
    parser = argparse.ArgumentParser(prog="python -m bench.graph")
    parser.add_argument("--applications", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3, help="each figure is the median of so many")
    options = parser.parse_args()
    console = Console(width=120, highlight=False)
    problems: list[str] = []
    for part in (side_by_side, far_away):
        found, some = part(options.applications, options.rounds)
        problems += some
        console.print(found)
        console.print()
    console.print(bytes_an_application())
    console.print()
    console.print(f"Every figure is the median of {options.rounds}; each reading is a process of its own.")
    end(problems)


if __name__ == "__main__":
    main()
