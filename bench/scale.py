"""`make bench` at size: whole scans of large tenants, beside the SDKs' typed clients and the Azure CLI; docs/scale.md.

Every reading is a process of its own, and so is the simulator that it reads from.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simulator.azurite import Azurite
from simulator.generate_clusters import INHERITED

from .graph import ROOT, chain, median, read, simulator, table
from .readings import PAGE, Figures

LATENCY = 0.05
ASSIGNMENTS = 1000
"""Role assignments on a page of the simulator; ARM documents no number."""
FINDINGS = {"expiring": 40, "on_service_principals": 20}
"""The same in every tenant: what grows is what a scan has to read and may forget."""
ESTATE = FINDINGS | {
    "applications": 6_427,
    "service_principals": 110_469,
    "subscriptions": 115,
    "clusters": 400,
    "role_assignments": 39_558,
}
LARGE = FINDINGS | {
    "applications": 200_000,
    "service_principals": 200_000,
    "subscriptions": 115,
    "clusters": 5_000,
    "role_assignments": 39_558,
}
TENTH = LARGE | {"applications": 20_000, "service_principals": 20_000, "clusters": 500}
"""LARGE divided by ten, the subscriptions and their assignments aside: each of these is a request at least."""
DIRECTORY = LARGE | {"clusters": TENTH["clusters"]}
"""Ten times the applications and service principals of TENTH, and as many clusters: a scan keeps each of those."""
MEMORY, GROWTH = 150 * 2**20, 1.2
"""The most bytes above the interpreter with the SDKs loaded, and the most times when a directory grows tenfold."""


def floor(numbers: Mapping[str, int]) -> float:
    """The longest chain of dependent requests of a scan times the latency, in seconds."""
    # AKS makes two identities for a cluster that is not on a service principal, and each is a service principal.
    managed = numbers["clusters"] - numbers["on_service_principals"]
    listing = max(numbers["applications"], numbers["service_principals"] + 2 * managed)
    own = numbers["role_assignments"] // numbers["subscriptions"]
    rows = own + numbers["role_assignments"] // INHERITED
    return chain(math.ceil(listing / PAGE), math.ceil(rows / ASSIGNMENTS)) * LATENCY


def estate(rounds: int, numbers: Mapping[str, int] = ESTATE) -> Iterator[Table | str]:
    """A real tenant's numbers with a slow Azure: the scan against its floor, what it writes, and an idle settle."""
    with simulator(LATENCY, **numbers) as env:
        read("scan", env)
        scan = median([read("scan", env) for _ in range(rounds)])
        kept = [_kept(env) for _ in range(rounds)]
        found = table(
            f"{_size(numbers)}; {LATENCY * 1000:.0f} ms a request; median of {rounds}",
            *("", "requests: Graph", "ARM", "floor", "wall", "ratio", "CPU", "peak memory", "above the start"),
        )
        found.add_row(*_cells("a dry run", scan, floor(numbers)))
        found.caption = ", ".join(f"{number} {rule}" for rule, number in scan["rules"].items())
        yield found
        yield _steps(kept)
        yield _typed(scan, read("typed_tenant", env))
        program = Path(os.environ.get("AZ") or ROOT / ".venv-az/bin/az")
        if program.is_file():
            yield _azure_cli(program, env)
        else:
            yield "The Azure CLI is left out: `make .venv-az/installed` installs it (700 MB), or set AZ"


def large(rounds: int) -> Iterator[Table]:
    """Time and memory when the tenant grows tenfold with the same findings, and nothing is slow but the processor."""
    found = table(
        f"{_size(LARGE)}; no latency; median of {rounds}",
        *("", "requests: Graph", "ARM", "wall", "CPU", "peak memory", "above the start", "times"),
    )
    tenants = {"a tenth of it": TENTH, "ten times the directory": DIRECTORY, "the whole: ten times the clusters": LARGE}
    peaks = []
    for label, numbers in tenants.items():
        with simulator(0, **numbers) as env:
            read("scan", env)
            rows = {label: median([read("scan", env) for _ in range(rounds)])}
            if numbers is LARGE:
                # What the app does day by day: the rows of the scan before are read and compared as well.
                before = rows[label]["peak_before"]
                rows["the same with storage, a second scan"] = {**_kept(env)["second"], "peak_before": before}
        peaks.append(rows[label]["peak"])
        for name, figures in rows.items():
            text, graph, arm, _, wall, _, *rest = _cells(name, figures, 0)
            found.add_row(text, graph, arm, wall, *rest, f"{figures['peak'] / peaks[0]:.2f}")
            if figures["peak"] - figures["peak_before"] > MEMORY:
                sys.exit(f"a scan takes more memory than it may: {name}")
    each = (peaks[2] - peaks[1]) / (LARGE["clusters"] - TENTH["clusters"]) / 1024
    found.caption = (
        f"at most {MEMORY >> 20} MB above the start, and {GROWTH} times when the directory grows; a cluster is kept "
        f"whole, with its identities and their rights: {each:.0f} KB"
    )
    yield found
    if peaks[1] > GROWTH * peaks[0]:
        sys.exit(f"memory grows {peaks[1] / peaks[0]:.2f} times with a directory ten times as large")


def _size(numbers: Mapping[str, int]) -> str:
    return (
        f"{numbers['applications']:,} applications, {numbers['service_principals']:,} service principals, "
        f"{numbers['subscriptions']} subscriptions, {numbers['clusters']:,} clusters, "
        f"{numbers['role_assignments']:,} role assignments"
    )


def _cells(label: str, figures: Figures, least: float) -> list[str]:
    wall, peak = figures["wall"], figures["peak"] / 2**20
    arm = sum(number for name, number in figures["asked"].items() if name.endswith(" ARM"))
    return [
        f"{label}: {figures['findings']:.0f} findings",
        f"{figures['requests']:,.0f}",
        f"{arm:,}",
        f"{least:.2f} s",
        f"{wall:.2f} s",
        f"{wall / least:.2f}" if least else "",
        f"{figures['cpu']:.2f} s",
        f"{peak:.0f} MB",
        f"{peak - figures['peak_before'] / 2**20:.0f} MB",
    ]


@contextmanager
def _storage(env: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        azurite = Azurite(Path(folder))
        azurite.start()
        try:
            yield {**env, "AzureWebJobsStorage": azurite.connection_string}
        finally:
            azurite.stop()


def _kept(env: Mapping[str, str]) -> Figures:
    with _storage(env) as stored:
        steps: Figures = read("kept", stored)["steps"]
        return steps


def _steps(rounds: list[Figures]) -> Table:
    found = table(
        "the same with storage (Azurite)", "", "requests: Graph", "ARM", "tables", "wall", "CPU", "rows written"
    )
    for name, label in (
        ("first", "a scan into empty tables"),
        ("second", "a second scan, six hours later"),
        ("idle", "a settle that has nothing to do"),
    ):
        step = median([one[name] for one in rounds])
        asked: Mapping[str, int] = step["asked"]
        written = {one.removeprefix("write "): n for one, n in asked.items() if one.startswith("write ")}
        found.add_row(
            label,
            f"{step['requests']:,.0f}",
            *(
                f"{sum(n for one, n in asked.items() if one.endswith(f' {service}')):,}"
                for service in ("ARM", "tables")
            ),
            f"{step['wall']:.2f} s",
            f"{step['cpu']:.2f} s",
            ", ".join(f"{n:,} {one}" for one, n in sorted(written.items())) or "none",
        )
    found.caption = "a scan writes its lease twice, to take it and to give it back, and one row that says that it ran"
    return found


def _typed(ours: Figures, typed: Figures) -> Table:
    found = table(
        "a whole dry run beside the same listings through the SDKs' typed clients", "", "Fusewatch", "typed", "times"
    )
    for label, name, scale, form in (
        ("CPU", "cpu", 1, "{:.1f} s"),
        ("wall time", "wall", 1, "{:.1f} s"),
        ("peak memory", "peak", 2**-20, "{:.0f} MB"),
    ):
        one, other = ours[name] * scale, typed[name] * scale
        found.add_row(label, form.format(one), form.format(other), f"{other / one:,.1f}")
    counts = ", ".join(f"{number:,} {name}" for name, number in typed["count"].items())
    found.caption = f"typed, once: {counts}; no memberships, roles, registries, owners, no judging"
    return found


def _azure_cli(program: Path, env: Mapping[str, str]) -> Table:
    """What the Azure CLI takes to list applications, and the clusters of one subscription."""
    found = table("Azure CLI against the same Azure", "", "wall", "CPU", "objects")
    with tempfile.TemporaryDirectory() as folder:
        own = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "AZURE_CONFIG_DIR": folder,
            "AZURE_CORE_COLLECT_TELEMETRY": "0",
        }
        names = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        own |= {name: env[name] for name in names}

        def az(*words: str) -> tuple[float, float, str]:
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            done = subprocess.run([program, *words], env=own, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"az {' '.join(words[:3])} failed:\n{done.stderr[-2000:]}")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return time.monotonic() - began, used, done.stdout

        arm, graph = env["ARM_ENDPOINT"], env["GRAPH_ENDPOINT"]
        cloud = ("--endpoint-resource-manager", arm, "--endpoint-active-directory-resource-id", arm)
        cloud += ("--endpoint-active-directory", arm, "--endpoint-microsoft-graph-resource-id", graph + "/")
        az("cloud", "register", "--name", "Simulated", "--skip-endpoint-discovery", *cloud)
        az("cloud", "set", "--name", "Simulated")
        az("login", "--identity", "--client-id", env["AZURE_CLIENT_ID"])
        for words in (("ad", "app", "list", "--all"), ("aks", "list")):
            wall, used, text = az(*words, "--query", "length(@)", "--output", "tsv")
            found.add_row(f"az {' '.join(words)}", f"{wall:.1f} s", f"{used:.1f} s", f"{int(text):,}")
    found.caption = "once; `az aks list` reads one subscription of many, and no command reads what a scan compares"
    return found


def main() -> None:
    """Measure and print; a bound that is broken is an error."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--rounds", type=int, default=3, help="each figure is the median of so many")
    options = parser.parse_args()
    console = Console(width=132, highlight=False)
    for part in (estate, large):
        for found in part(options.rounds):
            console.print(found)
            console.print()


if __name__ == "__main__":
    main()
