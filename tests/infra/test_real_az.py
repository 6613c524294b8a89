"""./deploy, infra/access/grant and their commands by the real `az`, signed in to a stand-in for Azure on loopback.

`make deploy-test` installs azure-cli into .venv-az; AZ names another one. Without either these tests are skipped.
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from simulator import Simulator, load

from .azure_proxy import Proxy
from .conftest import ROOT, compiled
from .conftest import load as program
from .resource_manager import PRINCIPAL, Azure

AZ = Path(os.environ.get("AZ") or ROOT / ".venv-az/bin/az")
pytestmark = pytest.mark.skipif(not AZ.is_file(), reason="no azure-cli: `make deploy-test` installs one, or set AZ")

TENANT, HOST = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222201"
APP = "func-fusewatch-ehhnmxy2ars62"
SITE = f"management.azure.com/subscriptions/{HOST}/resourceGroups/rg-fusewatch/providers/Microsoft.Web/sites/{APP}"
NOWHERE = {"azcliprod.blob.core.windows.net", "aka.ms"}
"""Where `az` looks for a newer version of itself."""


class Desk:
    """Somebody's shell: a checkout, the real az signed in, and nothing beyond loopback."""

    def __init__(self, folder: Path, bicep: str, teams: Simulator) -> None:
        self.root, self.teams = folder / "project", teams
        shutil.copytree(ROOT / "infra", self.root / "infra", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "shared", self.root / "shared", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("deploy", ".funcignore", "function_app.py", "host.json", "requirements.txt"):
            shutil.copy(ROOT / name, self.root)
        sources = {"main": "contoso.snapshot", "events": "contoso.events.snapshot"}
        names = ("webhook", "access-subscriptions", "access-management-group")
        templates = {name: (compiled(name), compiled(made)) for name, made in sources.items()}
        self.azure = Azure(TENANT, HOST, templates | {name: (compiled(name), None) for name in names})
        self.proxy = Proxy(folder, self.azure.answer)
        self.environment = {
            "PATH": f"{AZ.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "BICEP": bicep,
            "PYTHON": sys.executable,
            "FUSEWATCH_PAUSE": "0",
            "HTTPS_PROXY": self.proxy.url,
            "NO_PROXY": "127.0.0.1",  # the Teams channel is reached as it is
            "REQUESTS_CA_BUNDLE": str(self.proxy.authority),
            "SSL_CERT_FILE": teams.environment["SSL_CERT_FILE"],
            "AZURE_CONFIG_DIR": str(folder / "config"),
            "AZURE_CORE_COLLECT_TELEMETRY": "0",
        }

    def run(self, *command: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=400,
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, bicep: str) -> Iterator[Desk]:
    with Simulator(load("retailer")) as teams:
        desk = Desk(tmp_path_factory.mktemp("az"), bicep, teams)
        with desk.proxy:
            yield desk
    assert set(desk.proxy.refused) <= NOWHERE


@pytest.mark.long
@pytest.mark.timeout(1200)  # `az` itself waits for more than a minute after it sent the code
def test_the_way_from_sign_in_to_removal(desk: Desk, bicep: str) -> None:
    """One long test: each step needs the one before, and the real az takes its time."""
    azure = desk.azure

    # Not signed in: said, with the command to sign in.
    done = desk.run("./deploy", "contoso", "--dry-run")
    assert done.returncode == 1 and f"az login --tenant {TENANT}" in done.stderr

    login = ("--service-principal", "--username", PRINCIPAL, "--password", "stand-in", "--tenant", TENANT)
    done = desk.run("az", "login", *login, "--output", "none")
    assert done.returncode == 0, done.stderr

    # Missing rights: named, and nothing is sent.
    azure.rights = [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"], "dataActions": []}]
    done = desk.run("./deploy", "contoso")
    assert done.returncode == 1
    assert done.stdout.count("you may not") == 1 and "roleAssignments/write" in done.stdout
    assert not [one for one in azure.calls if one.method == "PUT"]
    azure.rights = [
        {"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write", "Microsoft.Authorization/*/Delete"]},
        {"actions": ["Microsoft.Authorization/roleAssignments/write"], "notActions": []},
    ]

    # A topic that was there before: reported with the lines for the tenant's file.
    topic = f"/subscriptions/{HOST}/resourceGroups/Default-EventGrid/providers/Microsoft.EventGrid/systemTopics/audit"
    foreign = {"properties": {"topicType": "microsoft.resources.subscriptions", "source": f"/subscriptions/{HOST}"}}
    foreign |= {"id": topic, "name": "audit", "type": "Microsoft.EventGrid/systemTopics", "location": "global"}
    azure.resources[topic.lower()] = foreign
    done = desk.run("./deploy", "contoso", "--stage", "check")
    assert done.returncode == 1
    assert f"'{HOST}': {{ name: 'audit', resourceGroup: 'Default-EventGrid', principalId: '' }}" in done.stdout
    del azure.resources[topic.lower()]

    # The whole way. The first event subscription fails, as it does when Event Grid does not see the function yet.
    azure.failing_events = 1
    url = desk.teams.environment["TEAMS_WEBHOOK_URL"]
    done = desk.run("./deploy", "contoso", TEAMS_WEBHOOK_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done: check what-if provision code sync events verify card" in done.stdout
    assert re.search(r"Resource changes: \d+ to create", done.stdout)
    assert "deleting the failed event subscription" in done.stdout
    assert "the channel accepted a test card" in done.stdout and len(desk.teams.cards()) == 1
    assert "a first scan was started" in done.stdout
    assert url not in done.stdout + done.stderr and url.partition("sig=")[2] not in done.stdout + done.stderr

    # What was sent is what is compiled, with the tenant's parameters.
    tenant = program("compile").parameters(bicep, ROOT / "infra/tenants/contoso.bicepparam")["parameters"]
    recover = {"recoverVault": {"value": False}}
    deployments = r"management.azure.com/subscriptions/[^/]+/providers/Microsoft.Resources/deployments/"
    for method, path in (("POST", "fusewatch-contoso/whatIf"), ("PUT", "fusewatch-contoso")):
        (call,) = azure.sent(method, deployments + path)
        assert call.json["properties"]["template"] == compiled("main")
        assert call.json["properties"]["parameters"] == tenant | recover
        assert call.json["properties"]["mode"] == "Incremental"
        assert call.json["location"] == tenant["location"]["value"]
    calls = azure.sent("PUT", deployments + "fusewatch-contoso-events")
    assert len(calls) == 2
    for call in calls:
        assert call.json["properties"]["template"] == compiled("events")
        assert call.json["properties"]["parameters"] == compiled("contoso.snapshot")["outputs"]["events"]
    (call,) = azure.sent("PUT", r".+/resourcegroups/rg-fusewatch/.+/deployments/fusewatch-webhook")
    assert call.json["properties"]["template"] == compiled("webhook")
    assert call.json["properties"]["parameters"]["url"] == {"value": url}
    assert azure.secrets == {"teams-webhook-url": url}

    # The code: what .funcignore leaves, built there, and synchronised until it is listed.
    (call,) = azure.sent("POST", rf"{APP}.scm.azurewebsites.net/api/publish")
    assert call.query["RemoteBuild"].lower() == "true"
    names = zipfile.ZipFile(io.BytesIO(call.body)).namelist()
    assert {"function_app.py", "host.json", "requirements.txt", "shared/__init__.py"} <= set(names)
    assert not [name for name in names if name.split("/")[0] in ("infra", "tests", "simulator", "docs", "deploy")]
    assert len(azure.sent("POST", SITE + "/host/default/sync")) == azure.listed_after
    (scan,) = azure.sent("POST", rf"{APP}.azurewebsites.net/admin/functions/scan_tenant")
    assert scan.headers["x-functions-key"] == "master" and "authorization" not in scan.headers
    assert not [one for one in azure.calls if url in one.path + str(one.query)]

    # Again: everything is there, our own topic included, so nothing is deleted.
    before = len(azure.calls)
    assert desk.run("./deploy", "contoso", "--stage", "check").returncode == 0
    done = desk.run("./deploy", "contoso", "--from", "events", TEAMS_WEBHOOK_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [one for one in azure.calls[before:] if one.method == "DELETE"]

    # An administrator's part.
    for arguments in (("--management-group", "contoso", "--narrow"), ()):
        done = desk.run("infra/access/grant", "contoso", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    roles = [one["appRoleId"] for one in azure.granted]
    assert roles == ["9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "97235f07-e226-4f63-ace3-39588e11d3a1"]
    (call,) = azure.sent("PUT", r"management.azure.com/providers/.+/managementGroups/contoso/.+/fusewatch-access")
    assert call.json["properties"]["parameters"] == {"principalId": {"value": PRINCIPAL}, "narrow": {"value": True}}
    (call,) = azure.sent("PUT", deployments + "fusewatch-access")
    assert call.json["properties"]["parameters"]["subscriptions"] == {"value": [HOST]}

    # And the end: everything that bears our tag goes.
    done = desk.run("./deploy", "contoso", "--destroy", stdin="contoso\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert azure.resources == {}

    # The display name of the subscription is hostile: nothing of it was run.
    assert "$(touch x)" in desk.run("az", "account", "list").stdout
    assert not list(desk.root.rglob("x"))


def documented() -> dict[str, set[str]]:
    """The options that the docs give to each command of az, in their blocks for a shell."""
    found: dict[str, set[str]] = {}
    for name in ("operations", "permissions", "rules"):
        text = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
        for block in re.findall(r"^ *```sh\n(.+?)^ *```", text, re.MULTILINE | re.DOTALL):
            # One rule is about applications and service principals alike.
            both = "".join(block.replace(" OBJECT ", f" {one} ") + "\n" for one in ("app", "sp"))
            words = shlex.shlex(both.replace("\\\n", " "), posix=True, punctuation_chars=";&|()\n")
            words.whitespace, words.whitespace_split = " \t", True
            command: list[str] = []
            for word in [*words, ";"]:
                if word.strip(";&|()\n") == "":
                    if command[:1] == ["az"]:
                        verbs = list(takewhile(lambda one: re.fullmatch("[a-z][a-z-]*", one), command[1:]))
                        found.setdefault(" ".join(verbs), set()).update(
                            one.partition("=")[0] for one in command if re.match("--?[a-z]", one)
                        )
                    command = []
                else:
                    command.append(word)
    return found


DOCUMENTED = documented()


@pytest.mark.parametrize("command", DOCUMENTED)
def test_no_command_or_option_in_the_docs_is_invented(desk: Desk, command: str) -> None:
    """Those of the cards are the same, docs/rules.md being made from the rules."""
    done = desk.run("az", *command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert command.split()[-1] in done.stdout and "Subgroups:" not in done.stdout
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout))
    assert DOCUMENTED[command] <= known


def test_the_docs_name_commands() -> None:
    assert {"role assignment create", "aks update", "ad app federated-credential create"} <= DOCUMENTED.keys()
