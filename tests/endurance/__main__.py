"""`make faults`: live through many seeds, several processes at a time; each that fails is printed with its replay.

`python -m tests.endurance 200` tries 200 seeds; `python -m tests.endurance --seed 17` replays one, with its story.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from .crew import attempt, begin


def main(arguments: list[str]) -> int:
    """Try the seeds; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    given = parser.parse_args(arguments)
    seeds = [given.seed] if given.seed else range(given.first, given.first + given.seeds)
    began, failed, full = time.monotonic(), 0, 0
    with multiprocessing.get_context("spawn").Pool(min(given.jobs, len(seeds)), begin) as pool:
        for done, (seed, problem) in enumerate(pool.imap_unordered(attempt, seeds), 1):
            if done % 100 == 0:
                print(f"{done} of {len(seeds)} seeds in {time.monotonic() - began:.0f} s, {failed} failed", flush=True)
            full += problem is None
            if problem:
                failed += 1
                story = problem if given.seed else problem.splitlines()[0]
                print(f"seed {seed} FAILED: {story}\n    replay: make faults SEED={seed}", flush=True)
        pool.close()
        pool.join()
    taken = time.monotonic() - began
    ended = f", {full} ended early with a card too full for the model" if full else ""
    passed = len(seeds) - failed - full
    print(f"faults: {passed} passed, {failed} failed{ended} of {len(seeds)} seeds of 60 days, in {taken:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
