"""What the host starts with: an import that loads nothing heavy, host.json, and what the package leaves out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from fnmatch import fnmatch

import pytest

from .conftest import ROOT

HEAVY = (
    *("msgraph", "msgraph_core", "kiota_abstractions", "kiota_authentication_azure", "kiota_http"),
    *("kiota_serialization_form", "kiota_serialization_json", "kiota_serialization_multipart"),
    *("azure.core", "azure.data", "azure.eventgrid", "azure.identity", "azure.mgmt"),
    *("aiohttp", "httpx", "msal", "msgspec", "rich", "shared.app", "shared.clients"),
)

PROGRAM = """
import json, sys, time
before = time.perf_counter()
import azure.functions
between = time.perf_counter()
import function_app
after = time.perf_counter()
names = sorted(one.get_function_name() for one in function_app.app.get_functions())
print(json.dumps([between - before, after - between, names, sorted(sys.modules)]))
"""


def start(**env: str) -> tuple[list[str], list[str]]:
    """The functions and the modules of a fresh interpreter that imported the function app."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    library, ours, names, modules = json.loads(answer.stdout)
    # For whoever looks (pytest -rP); a time is never asserted.
    print(f"import azure.functions {library * 1000:.0f} ms, function_app {ours * 1000:.0f} ms")
    return names, modules


def test_the_import_loads_no_sdk() -> None:
    names, modules = start()
    assert "function_app" in modules and "shared.settings" in modules
    loaded = [one for one in modules if any(one == name or one.startswith(f"{name}.") for name in HEAVY)]
    assert not loaded
    assert names


def test_wrong_settings_do_not_stop_the_import() -> None:
    wrong = dict.fromkeys(("SCAN_SCHEDULE", "NOTICE_DAYS", "ROUTES", "ARM_ENDPOINT"), "@Microsoft.KeyVault(nonsense")
    assert start(**wrong)[0] == start()[0]


@pytest.fixture(scope="module")
def host() -> dict:
    return json.loads((ROOT / "host.json").read_text(encoding="utf-8"))


def test_a_run_may_take_longer_than_all_retries_of_a_request(host: dict) -> None:
    from shared.clients.http import Patience

    hours, minutes, seconds = map(int, re.fullmatch(r"(\d\d):(\d\d):(\d\d)", host["functionTimeout"]).groups())
    limit = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert timedelta(seconds=10 * Patience().total) < limit <= timedelta(minutes=30)


def test_the_host_loads_the_bundle_of_extensions(host: dict) -> None:
    assert host["version"] == "2.0"
    bundle = host["extensionBundle"]
    assert bundle["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    assert re.fullmatch(r"\[4\.\*, 5\.0\.0\)", bundle["version"])


def test_only_the_app_is_deployed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git clone")
    names = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    patterns = (ROOT / ".funcignore").read_text(encoding="utf-8").split()
    kept = {name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)}
    assert kept == {"function_app.py", "host.json", "requirements.txt", "shared"}
