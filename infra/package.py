"""Packs what is deployed: the files that .funcignore leaves of the function app.

    python3 infra/package.py FILE.zip

That is what ./deploy sends; Azure installs requirements.txt into it. `make package` tries what comes of it.
"""

from __future__ import annotations

import fnmatch
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEPLOYED = ("function_app.py", "host.json", "requirements.txt", "shared")
"""Named, so that a file which somebody left in the checkout is not deployed with the rest."""


def ignored(path: Path, patterns: list[str]) -> bool:
    """Whether .funcignore leaves a path out; a pattern counts at any depth, as in .gitignore."""
    return any(fnmatch.fnmatchcase(part, pattern) for part in path.parts for pattern in patterns)


def patterns(root: Path = ROOT) -> list[str]:
    """The patterns of .funcignore; raises SystemExit for a form that is not understood here."""
    lines = [line.strip().rstrip("/") for line in (root / ".funcignore").read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if any("/" in one or one.startswith("!") for one in found):
        raise SystemExit(".funcignore: only names and wildcards are understood, no paths and no exceptions")
    return found


def files(root: Path = ROOT) -> Iterator[Path]:
    """What is deployed, relative to the root, in a fixed order."""
    left_out = patterns(root)
    for name in DEPLOYED:
        found = root / name
        if not found.exists():
            raise SystemExit(f"{name} is missing: run this from a complete checkout")
        for file in sorted(found.rglob("*")) if found.is_dir() else [found]:
            path = file.relative_to(root)
            if file.is_file() and not ignored(path, left_out):
                yield path


def pack(target: Path, root: Path = ROOT) -> int:
    """Writes the package and returns the number of its files."""
    paths = list(files(root))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for path in paths:
            package.write(root / path, path.as_posix())
    return len(paths)


def main() -> int:
    """The command line."""
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} FILE.zip")
    target = Path(sys.argv[1])
    print(f"packed {pack(target)} files, {target.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
