"""`preflight`, as a process of its own against the simulator."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from shared.preflight import UNKNOWN
from shared.sources import SOURCES, Service
from simulator import Fault, load

from ..conftest import Start
from ..test_cli import shared


def test_exit_statuses_and_the_table(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    done = shared(watch, "preflight")
    assert done.returncode == 0, done.stderr
    assert f"Tried as the app {watch.azure.client_id}, object id {watch.azure.object_id}." in done.stdout
    assert "No rule is blind." in done.stdout
    assert "az role" not in done.stdout
    assert shared(watch, "preflight", SCAN_SCHEDULE="daily").returncode == 2
    assert shared(watch, "preflight", NOTICE_DAYS="soon").returncode == 2
    watch.azure.add(Fault(path="/eventtypes/", host="arm", status=403))
    lesser = shared(watch, "preflight")
    assert lesser.returncode == 0, "who did it is lost, and no rule is blind"
    assert "who removed a role assignment is not said" in " ".join(lesser.stdout.split())


def test_a_blind_rule(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path="/registries", host="arm", status=403))
    table = shared(watch, "preflight", SCAN_SCHEDULE="daily")
    assert table.returncode == 4, "a blind rule is worse than a wrong setting"
    assert "BLIND: aks_kubelet_cannot_pull in 3 subscriptions: Container registries" in table.stdout
    commands = [line for line in table.stdout.splitlines() if line.startswith("az ")]
    assert len(commands) == 3
    found = json.loads(shared(watch, "preflight", "--format", "json").stdout)
    assert list(found) == ["identity", "checks", "blind"]
    scopes = [f"/subscriptions/{one.id}" for one in watch.azure.tenant.subscriptions]
    assert found["blind"] == {"aks_kubelet_cannot_pull": sorted(scopes)}
    refused = [one for one in found["checks"] if one["outcome"] == "refused"]
    assert [one["commands"] for one in refused] == [[command] for command in commands]
    assert {(one["role"], one["needs"]) for one in refused} == {
        ("Reader", "Microsoft.ContainerRegistry/registries/read")
    }


def test_who_is_signed_in_to_the_cli_is_not_the_app(start: Start, tmp_path: Path) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path="/registries", host="arm", status=403))
    az = tmp_path / "az"
    az.write_text(
        f"#!{sys.executable}\n"
        "import json, os, ssl, sys, urllib.parse, urllib.request\n"
        "resource = sys.argv[sys.argv.index('--resource') + 1]\n"
        f"query = urllib.parse.urlencode({{'api-version': '2019-08-01', 'resource': resource, 'client_id': '{watch.azure.client_id}'}})\n"
        "request = urllib.request.Request(os.environ['IDENTITY_ENDPOINT'] + '?' + query, headers={'X-IDENTITY-HEADER': os.environ['IDENTITY_HEADER']})\n"
        "found = json.load(urllib.request.urlopen(request, context=ssl.create_default_context()))\n"
        "print(json.dumps({'accessToken': found['access_token'], 'expires_on': int(found['expires_on'])}))\n"
    )
    az.chmod(0o755)
    done = shared(watch, "preflight", AZURE_CLIENT_ID="", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "not the app" in done.stdout
    assert f"--assignee-object-id {UNKNOWN} " in done.stdout, "nobody is told to grant the person what the app lacks"
    assert f"{UNKNOWN}: the object id of the app's identity" in done.stdout


def test_a_fault_is_no_clean_bill(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path=r"/subscriptions\?", host="arm", status=503))
    done = shared(watch, "preflight")
    assert done.returncode == 3
    assert "No rule is known to be blind" in done.stdout
    assert "No rule is blind" not in done.stdout
    for command in ("scan --dry-run", "impact", "report", "preflight", "webhook-test"):
        assert f"`{command}`" in done.stdout


def test_without_any_token_the_sign_in_is_named_once(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path="/msi/token", host="identity", status=400))
    done = shared(watch, "preflight")
    assert done.returncode == 4
    assert "Tried as nobody, since no token could be read." in done.stdout
    assert done.stdout.count("There is no token: ") == 1
    assert len([line for line in done.stdout.splitlines() if "BLIND" in line]) == 1
    assert "aks_identity_missing" in done.stdout


def test_whoever_is_not_signed_in_is_nobody_and_told_how_to(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    done = shared(watch, "preflight", AZURE_CLIENT_ID="", PATH="/nowhere")
    assert "signed in to the Azure CLI" not in done.stdout
    assert done.stdout.count("install it and run az login") == 1


def test_every_mending_command_is_made_of_shell_words() -> None:
    for source in SOURCES:
        scope = "account" if source.service is Service.STORAGE else "/subscriptions/1; reboot"
        for line in source.command(UNKNOWN, scope).splitlines():
            words = shlex.split(line)
            assert "reboot" not in words
            assert words[0] in ("az", "GRAPH=$(az")
    graph = next(one for one in SOURCES if one.service is Service.GRAPH).command("object", "/")
    body = json.loads(shlex.split(graph.splitlines()[1])[-1])
    assert body == {
        "principalId": "object",
        "resourceId": "$GRAPH",
        "appRoleId": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    }
