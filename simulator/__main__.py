"""python -m simulator: the simulator as a process of its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import inspect
import json
import signal
import sys
from datetime import UTC, datetime

from . import Simulator, generate, load
from .story import TENANTS

SIZES = inspect.signature(generate).parameters.keys() - {"now"}


def main(arguments: list[str] | None = None) -> int:
    """Serve a tenant; the first line on stdout is the environment as JSON, the second the page with the cards."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="A local Azure with one tenant.")
    parser.add_argument("tenant", nargs="?", default="retailer", help="a name in simulator/tenants, or a .toml file")
    parser.add_argument(
        "--generate", type=_sizes, metavar="NAME=NUMBER,...", help="a generated tenant: applications=200000"
    )
    parser.add_argument("--now", type=_moment, help="today in the simulated world (ISO 8601)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each request")
    parser.add_argument("--port", type=int, default=0, help="Graph's port; ARM, Teams and identity take the next three")
    options = parser.parse_args(arguments)
    try:
        tenant = generate(**options.generate, now=options.now) if options.generate else load(options.tenant)
    except FileNotFoundError as error:
        known = ", ".join(sorted(file.stem for file in TENANTS.glob("*.toml")))
        parser.error(f"there is no {error.filename}; tenants here: {known}")
    if options.now:
        tenant.advance(options.now)
    # Blocked in every thread from here on, so that the signal waits for sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with Simulator(tenant, options.now, latency=options.latency, port=options.port) as simulator:
        print(json.dumps(simulator.environment), flush=True)
        print(simulator.channel_url, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _sizes(text: str) -> dict[str, int]:
    pairs = [[part.strip() for part in pair.split("=")] for pair in text.split(",")]
    for pair in pairs:
        if len(pair) != 2 or pair[0] not in SIZES or not pair[1].isdecimal():
            raise argparse.ArgumentTypeError(f"{'='.join(pair)!r} is no NAME=NUMBER; names: {', '.join(sorted(SIZES))}")
    return {name: int(number) for name, number in pairs}


if __name__ == "__main__":
    sys.exit(main())
