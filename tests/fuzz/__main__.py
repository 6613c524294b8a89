"""`make fuzz`: each target for some seconds, guided by coverage (atheris); 1 if one let another error out, or hung.

Where atheris cannot be installed (before Python 3.12, off x86_64 Linux) the bytes are random, and that is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SLOWEST = 10
"""Seconds that one input may take."""
SEED = 20261125


def guided(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["shared"], enable_loader_override=False):
        from .targets import TARGETS
    # https://llvm.org/docs/LibFuzzer.html#options
    options = [f"-max_total_time={seconds}", f"-timeout={SLOWEST}", "-max_len=400", f"-seed={SEED}", "-verbosity=0"]
    target = TARGETS[name]

    def once(data: bytes) -> None:
        target(data)

    atheris.Setup(
        [sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={ROOT / 'build'}/fuzz-{name}-"], once
    )
    atheris.Fuzz()


def unguided(name: str, seconds: int) -> int:
    """As many random inputs as there is time for; gives how many."""
    from .targets import TARGETS

    chance, end, done = random.Random(SEED), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = chance.randbytes(chance.randint(1, 200))
        began = time.monotonic()
        try:
            TARGETS[name](data)
        except BaseException:
            print(f"input: {data.hex()}")
            raise
        if time.monotonic() - began > SLOWEST:
            raise TimeoutError(f"input {data.hex()} took longer than {SLOWEST} s")
        done += 1
    return done


def attempt(name: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own; whether it stood."""
    (ROOT / "build").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(seconds), "--inside", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    runs = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "")
    print(f"{name:12} {'stood' if done.returncode == 0 else 'FELL'}  {runs} inputs in {seconds} s", flush=True)
    if done.returncode:
        print("\n".join(lines[-40:]))
        print(f"    replay: .venv-*/bin/python -m tests.fuzz --replay build/fuzz-{name}-FILE {name}")
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """Fuzz every target, or those that are named."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--inside", action="store_true", help="in this process, and only one")
    parser.add_argument("--replay", type=Path, help="the file of an input")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    guide = importlib.util.find_spec("atheris") is not None
    if given.inside:
        if guide:
            guided(given.names[0], given.seconds)
        else:
            print("number_of_executed_units:", unguided(given.names[0], given.seconds))
        return 0
    from .targets import TARGETS

    if given.replay:
        TARGETS[given.names[0]](given.replay.read_bytes())
        return 0
    print(
        "fuzz: guided by atheris"
        if guide
        else "fuzz: NOT GUIDED, atheris needs Python 3.12 on x86_64 Linux: random bytes"
    )
    stood = [attempt(name, given.seconds) for name in given.names or TARGETS]
    print(f"fuzz: {sum(stood)} passed, {len(stood) - sum(stood)} failed")
    return 0 if all(stood) else 1


if __name__ == "__main__":
    # libFuzzer starts none, but a crash must not wait for a debugger either.
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
    sys.exit(main(sys.argv[1:]))
