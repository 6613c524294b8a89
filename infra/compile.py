"""Compiles the templates and the tenants' snapshots into infra/compiled: what changes in Azure shows in review.

    python3 infra/compile.py            compile (needs Bicep: $BICEP, the PATH, or `az bicep install`)
    python3 infra/compile.py --check    compare hashes only (needs nothing); --templates leaves the tenants out

What is deployed is what lies in infra/compiled: ./deploy refuses to run while it does not match its sources.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parent
COMPILED = INFRA / "compiled"
SUMS = COMPILED / "SHA256SUMS"
ENTRY_POINTS = {
    "main": "main.bicep",
    "events": "events/main.bicep",
    "webhook": "webhook.bicep",
    "access-management-group": "access/management-group.bicep",
    "access-subscriptions": "access/subscriptions.bicep",
    "access-graph": "access/graph.bicep",
}


def find_bicep() -> str | None:
    """The compiler: $BICEP, on the PATH, or where `az bicep install` puts it."""
    installed = Path.home() / ".azure" / "bin" / "bicep"
    return os.environ.get("BICEP") or shutil.which("bicep") or (str(installed) if installed.is_file() else None)


def run_bicep(bicep: str, *arguments: str | Path) -> str:
    """What the compiler prints; when it fails, the errors that it found."""
    done = subprocess.run([bicep, *map(str, arguments)], capture_output=True, text=True)  # nosec B603: a list of words, no shell
    if done.returncode:
        lines = (done.stderr or done.stdout).splitlines()
        # Its warnings are about our templates, and nothing that whoever wrote a tenant's file can mend.
        errors = [line for line in lines if " : Error " in line] or lines
        raise SystemExit("\n".join((f"bicep {arguments[0]} {arguments[1]} failed:", *errors)))
    return done.stdout


def parameters(bicep: str, file: Path) -> dict[str, Any]:
    """The parameters file, as Resource Manager takes it, of a .bicepparam file."""
    return json.loads(json.loads(run_bicep(bicep, "build-params", file, "--stdout"))["parametersJson"])


def compile_all(bicep: str, source: Path, target: Path) -> None:
    """Writes the compiled entry points and the snapshots of all tenants; the source tree is left as it is."""
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "infra"
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns("compiled", "__pycache__"))
        for name, entry in ENTRY_POINTS.items():
            _write(
                target / f"{name}.json",
                _without_generator(json.loads(run_bicep(bicep, "build", tree / entry, "--stdout"))),
            )
        for file in sorted((tree / "tenants").glob("*.bicepparam")):
            values = {key: entry["value"] for key, entry in parameters(bicep, file)["parameters"].items()}
            main = _snapshot(bicep, file, values)
            _write(target / f"{file.stem}.snapshot.json", main)
            events = tree / "events" / file.name
            events.write_text(_events_parameters(main), encoding="utf-8")
            _write(target / f"{file.stem}.events.snapshot.json", _snapshot(bicep, events, values))


def _events_parameters(main: dict[str, Any]) -> str:
    """A parameters file for events/main.bicep from the output that ./deploy hands to it."""
    given = {name: entry["value"] for name, entry in main["outputs"]["events"].items()}
    texts = {
        name: json.dumps(value).replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
        for name, value in given.items()
    }
    return "using 'main.bicep'\n" + "".join(f"param {name} = json('{text}')\n" for name, text in texts.items())


def _snapshot(bicep: str, file: Path, values: dict[str, Any]) -> dict[str, Any]:
    where = (
        "--subscription-id",
        values["subscriptionId"],
        "--tenant-id",
        values["tenantId"],
        "--location",
        values["location"],
    )
    run_bicep(bicep, "snapshot", file, *where)
    found = json.loads(file.with_suffix(".snapshot.json").read_text(encoding="utf-8"))
    # The compiler writes the outputs in an order of the moment, which would show as a change.
    return {**found, "outputs": dict(sorted(found["outputs"].items()))}


def _without_generator(value: Any) -> Any:
    """Without the compiler's version and hash, so that another compiler of the same mind gives the same file."""
    if isinstance(value, dict):
        return {key: _without_generator(item) for key, item in value.items() if key != "_generator"}
    return [_without_generator(item) for item in value] if isinstance(value, list) else value


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sums(templates_only: bool = False) -> dict[str, str]:
    """The hash of every source and every compiled file, by its path below infra."""
    files = [*INFRA.rglob("*.bicep"), INFRA / "bicepconfig.json", INFRA / "access" / "actions.json"]
    files += [COMPILED / f"{name}.json" for name in ENTRY_POINTS]
    if not templates_only:
        files += [*INFRA.glob("tenants/*.bicepparam"), *COMPILED.glob("*.snapshot.json")]
    return {
        file.relative_to(INFRA).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
        if file.is_file()
    }


def stale(templates_only: bool = False) -> list[str]:
    """The files that changed since the last compilation, came or went."""
    lines = SUMS.read_text(encoding="utf-8").splitlines() if SUMS.is_file() else []
    kept = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    if templates_only:
        kept = {path: digest for path, digest in kept.items() if not path.endswith((".bicepparam", ".snapshot.json"))}
    found = sums(templates_only)
    return sorted(path for path in kept.keys() | found.keys() if kept.get(path) != found.get(path))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether infra/compiled matches its sources")
    parser.add_argument(
        "--templates", action="store_true", help="with --check: leave the tenants' files and snapshots out"
    )
    arguments = parser.parse_args()
    if not arguments.check:
        bicep = find_bicep()
        if not bicep:
            raise SystemExit("Bicep is missing: run `az bicep install`, or set BICEP to the program")
        for old in COMPILED.glob("*.json"):
            old.unlink()
        compile_all(bicep, INFRA, COMPILED)
        SUMS.write_text("".join(f"{digest}  {path}\n" for path, digest in sums().items()), encoding="utf-8")
    wrong = stale(arguments.templates)
    if wrong:
        print(
            "infra/compiled does not match its sources; run `python3 infra/compile.py` and review the change:",
            file=sys.stderr,
        )
        print("".join(f"  {path}\n" for path in wrong), end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
