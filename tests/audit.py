"""`make audit`: bandit over the code, pip-audit over the pinned packages; 1 if either finds something.

Where no vulnerability service can be reached nothing was audited, and that is said instead of called clean.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = ("shared", "function_app.py", "infra")
SKIPPED = ("B101", "B404")
"""Asserts state what the caller guarantees; importing subprocess is no call of it."""


def bandit() -> int:
    """The number of problems that bandit sees in what is deployed, and in what deploys it."""
    command = [
        sys.executable,
        "-m",
        "bandit",
        "--quiet",
        "--recursive",
        *CODE,
        "--skip",
        ",".join(SKIPPED),
        "-f",
        "json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    for one in found["results"]:
        print(f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}")
    print(f"bandit: {len(found['results'])} problems in {found['metrics']['_totals']['loc']} lines")
    return len(found["results"])


def pip_audit() -> int:
    """The number of known vulnerabilities in what is deployed; hashes of every pin are demanded."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", "requirements.txt", "--disable-pip"]
    command += ["--require-hashes", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"pip-audit: NOT AUDITED: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
        return 0
    audited = [one for one in packages if "skip_reason" not in one]
    found = [(one["name"], vulnerability["id"]) for one in audited for vulnerability in one["vulns"]]
    for name, identifier in found:
        print(f"{name}: {identifier}")
    blind = "" if audited else "NOT AUDITED, no vulnerability service can be reached: "
    print(f"pip-audit: {blind}{len(found)} vulnerabilities in {len(audited)} of {len(packages)} packages")
    return len(found)


if __name__ == "__main__":
    sys.exit(1 if bandit() + pip_audit() else 0)
