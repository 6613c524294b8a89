"""`make mutants`: break each invariant of docs/design.md by a patch, and see that the tests notice.

Each patch names the invariant and the tests that must turn red; it is applied to a copy of the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FAILED = 1
"""pytest's exit status when tests ran and some failed; any other is no proof."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One patch, what it breaks, and which tests must notice."""

    path: Path
    invariant: str
    tests: tuple[str, ...]


def mutants() -> list[Mutant]:
    """Every patch beside this file, in order."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.patch")):
        invariant, tests = path.read_text(encoding="utf-8").splitlines()[:2]
        found.append(
            Mutant(
                path=path,
                invariant=invariant.removeprefix("Invariant: "),
                tests=tuple(tests.removeprefix("Tests: ").split()),
            )
        )
    return found


def copy(folder: Path) -> Path:
    """The files that git knows, in a folder of their own, with the installed packages beside them."""
    target = folder / "repository"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    return target


def applies(mutant: Mutant) -> str:
    """Why a patch does not apply to the code as it is; empty if it does."""
    done = subprocess.run(
        ["git", "apply", "--check", str(mutant.path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""


def run(tests: Iterable[str], folder: Path, mutant: Mutant | None = None) -> tuple[int, str]:
    """pytest's exit status and closing line in a copy, with a mutant or as it is."""
    where = copy(folder)
    subprocess.run(["git", "init", "--quiet"], cwd=where, check=True)
    if mutant:
        subprocess.run(["git", "apply", str(mutant.path)], cwd=where, check=True)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1]


def notices(mutant: Mutant, folder: Path) -> str:
    """Why the tests do not notice a mutant; empty if they do."""
    status, closing = run(mutant.tests, folder, mutant)
    return "" if status == FAILED else f"pytest ended with {status}: {closing}"


def main(names: list[str]) -> int:
    """Try the mutants whose names begin so, all of them without a name; 1 if one went unnoticed."""
    wanted = [one for one in mutants() if not names or one.path.stem.startswith(tuple(names))]
    with tempfile.TemporaryDirectory() as folder:
        # Tests that fail anyway prove nothing.
        status, closing = run(sorted({test for one in wanted for test in one.tests}), Path(folder))
    print(f"without a mutant: {closing}", flush=True)
    if status:
        return 1
    unnoticed = 0
    for mutant in wanted:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            problem = applies(mutant) or notices(mutant, Path(folder))
        unnoticed += bool(problem)
        verdict = f"NOT NOTICED: {problem}" if problem else "noticed"
        print(f"{mutant.path.stem:32} {time.monotonic() - began:5.1f} s  {verdict}  ({mutant.invariant})", flush=True)
    print(f"{len(wanted) - unnoticed} passed, {unnoticed} failed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
