"""python -m simulator serves until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from simulator.__main__ import main

from .clients import trust

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "nope.toml; tenants here: catalogue, hostile, retailer"),
        (["--generate", "foo=1"], "'foo=1' is no NAME=NUMBER; names: applications, clusters, expiring"),
        (["--generate", "applications=2,clusters"], "'clusters' is no NAME=NUMBER"),
        (["--generate", "applications=many"], "'applications=many' is no NAME=NUMBER"),
    ],
)
def test_a_tenant_that_there_is_not_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "last", "stop"),
    [
        (["retailer", "--now", "2026-07-22T06:00"], "erp-sync", signal.SIGTERM),
        (["--generate", "applications=2000,expiring=5"], "app-000003", signal.SIGINT),
    ],
)
def test_a_process_prints_its_environment_and_serves(arguments: list[str], last: str, stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "simulator", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ExitStack() as stack, subprocess.Popen(command, **pipes, text=True, cwd=ROOT) as process:
        assert process.stdout and process.stderr
        try:
            environment = json.loads(process.stdout.readline())
            page = process.stdout.readline().strip()
            http = stack.enter_context(httpx.Client(verify=trust(environment)))
            token = http.get(
                environment["IDENTITY_ENDPOINT"],
                params={
                    "resource": "https://graph.microsoft.com",
                    "api-version": "2019-08-01",
                    "client_id": environment["AZURE_CLIENT_ID"],
                },
                headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
            ).json()["access_token"]
            url = environment["GRAPH_ENDPOINT"] + "/v1.0/applications?$top=3"
            found = http.get(url, headers={"Authorization": f"Bearer {token}"}).json()["value"]
            assert found[2]["displayName"] == last
            assert http.get(page).status_code == 200
        finally:
            os.kill(process.pid, stop)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
