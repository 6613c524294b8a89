"""./deploy and infra/access/grant against a stand-in az: the whole way, each stage failing, each refusal."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, tool

HOST, OTHER = "22222222-2222-4222-8222-222222222201", "22222222-2222-4222-8222-222222222202"
TENANT = "11111111-1111-4111-8111-111111111111"
STAGES = ["check", "what-if", "provision", "code", "sync", "events", "verify", "card"]
URL = "https://example.invalid/workflows/1?sig=very-secret"


def existing(**changes: str) -> dict[str, Any]:
    """A declared topic, with something changed."""
    return {OTHER: EXISTING[OTHER] | changes}


EXISTING = {OTHER: {"name": "audit", "resourceGroup": "Default-EventGrid", "principalId": ""}}


class Azure:
    """A checkout of the deployment part with stand-ins for az, bicep and the app's command line."""

    def __init__(self, directory: Path) -> None:
        self.root, self.fake, self.bin = directory / "project", directory / "az", directory / "bin"
        for path in (self.root / "shared", self.fake, self.bin):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "deploy", self.root)
        shutil.copytree(ROOT / "infra", self.root / "infra", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / ".funcignore", self.root)
        for name in ("function_app.py", "host.json", "requirements.txt", "shared/__init__.py"):
            (self.root / name).write_text("")
        self.cli(
            "known = {'webhook-test', 'preflight'} & set(sys.argv)\n"
            "print('card to', os.environ.get('TEAMS_WEBHOOK_URL', '')[:8]) if known else sys.exit(2)"
        )
        (self.root / "shared" / "__pycache__").mkdir()
        (self.root / "shared" / "__pycache__" / "old.pyc").write_text("")
        self.program("az", f'exec "{sys.executable}" "{ROOT / "tests/infra/fake_az.py"}" "$@"')
        self.program("bicep", f'cat "{self.fake / "bicep.json"}"')
        self.environment = {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "FAKE_AZ": str(self.fake),
            "BICEP": str(self.bin / "bicep"),
            "FUSEWATCH_PAUSE": "0",
            "HOME": str(directory),
        }
        self.tenant()
        self.state = {
            "tenant": TENANT,
            "fail": {},
            "rights": {"*": [["*", ""]]},
            "topics": {},
            "events": {},
            "outcomes": {},
            "subscriptions": [HOST, OTHER],
            "provisioned": False,
            "syncs": 0,
            "listed_after": 1,
            "unresolved": [],
            "deleted_vault": "",
            "webhook": URL,
            "groups": {},
            "granted": [],
        }

    def program(self, name: str, body: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/usr/bin/env bash\n{body}\n")
        file.chmod(0o755)

    def cli(self, body: str) -> None:
        """Replaces `python -m shared`."""
        (self.root / "shared" / "__main__.py").write_text(f"import os, sys\n{body}\n")

    def tenant(self, **values: Any) -> None:
        """Sets the parameters that the stand-in compiler gives."""
        given = {"name": "fusewatch", "tenantId": TENANT, "subscriptionId": HOST, "location": "westeurope"}
        given |= {"subscriptions": [HOST, OTHER], "alertEmails": ["a@b.example"]} | values
        parameters = json.dumps({"parameters": {name: {"value": value} for name, value in given.items()}})
        (self.fake / "bicep.json").write_text(json.dumps({"parametersJson": parameters}))

    def run(
        self, *arguments: str, program: str = "./deploy", tenant: str = "contoso", stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (self.fake / "state.json").write_text(json.dumps(self.state))
        done = subprocess.run(
            [program, tenant, *arguments],
            cwd=self.root,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.state = json.loads((self.fake / "state.json").read_text())
        return done

    def calls(self) -> list[list[str]]:
        log = self.fake / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def commands(self) -> str:
        return "\n".join(" ".join(call) for call in self.calls())

    def sent(self) -> list[Any]:
        return [
            json.loads(file.read_text())
            for file in sorted(self.fake.glob("sent-*"), key=lambda file: int(file.stem[5:]))
        ]


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path)


def changes(azure: Azure) -> list[str]:
    """The calls that change something."""
    verbs = {"create", "delete", "register", "config-zip"}
    return [" ".join(call) for call in azure.calls() if verbs & set(call) or call[:3] == ["rest", "--method", "post"]]


def test_one_command_deploys_everything_in_order(azure: Azure) -> None:
    done = azure.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("done: " + " ".join(STAGES))
    commands = azure.commands()
    order = [
        "deployment sub what-if",
        "main.json --parameters @",
        "config-zip",
        "default/sync",
        "compiled/events.json",
        "secret show",
    ]
    places = [commands.index(part) for part in order]
    assert places == sorted(places)
    assert azure.state["events"] == {HOST: "Succeeded", OTHER: "Succeeded"}
    assert {"name": {"value": "fusewatch"}} in azure.sent()
    assert "card to https://" in done.stdout


def test_every_command_names_the_subscription_it_is_about(azure: Azure) -> None:
    assert azure.run().returncode == 0
    for call in azure.calls():
        assert (
            "--subscription" in call or call[0] == "rest" or call[:2] in (["account", "show"], ["resource", "show"])
        ), call


def test_only_code_goes_into_the_package(azure: Azure) -> None:
    assert azure.run("--stage", "provision").returncode == azure.run("--stage", "code").returncode == 0
    names = zipfile.ZipFile(azure.fake / "package.zip").namelist()
    assert names == ["function_app.py", "host.json", "requirements.txt", "shared/__init__.py", "shared/__main__.py"]


def test_run_twice_it_leaves_what_is_right(azure: Azure) -> None:
    assert azure.run().returncode == 0
    azure.state["topics"] = {
        one: [["evgt-fusewatch-subscription", "rg-fusewatch-events", "microsoft.resources.subscriptions", "p"]]
        for one in (HOST, OTHER)
    }
    assert azure.run().returncode == 0
    assert "event-subscription delete" not in azure.commands()


def test_a_dry_run_changes_nothing(azure: Azure) -> None:
    done = azure.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "done: check what-if" in done.stdout
    assert azure.run("--dry-run", "--stage", "check").stdout.rstrip().endswith("done: check")
    assert azure.run("--from", "what-if", "--dry-run").stdout.rstrip().endswith("done: what-if")
    assert changes(azure) == []


@pytest.mark.parametrize(
    "others", [("--stage", "provision"), ("--from", "provision"), ("--webhook",), ("--destroy", "--yes")]
)
def test_a_dry_run_is_refused_together_with_what_changes_something(azure: Azure, others: tuple[str, ...]) -> None:
    azure.state["provisioned"] = True
    for arguments in (("--dry-run", *others), (*others, "--dry-run")):
        done = azure.run(*arguments, stdin=URL + "\n")
        assert done.returncode == 2
        assert f"--dry-run changes nothing: it allows the stages check what-if, not {others[0]}" in done.stderr
    assert azure.calls() == []


def test_a_dry_run_that_stops_goes_on_as_one(azure: Azure) -> None:
    azure.state["fail"] = {"what-if": 1}
    assert "go on with: ./deploy contoso --dry-run --from what-if\n" in azure.run("--dry-run").stderr


FAILURES = {
    "check": "permissions",
    "what-if": "what-if",
    "provision": "deployment sub create",
    "code": "config-zip",
    "sync": "functionapp function list",
    "verify": "configreferences",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_failing_stage_says_what_is_done_and_how_to_go_on(azure: Azure, stage: str) -> None:
    if stage == "events":
        azure.state["fail"] = {f"provider list {OTHER}": 1}
    elif stage == "card":
        azure.state["webhook"] = ""
    else:
        azure.state["fail"] = {FAILURES[stage]: 1}
    done = azure.run()
    before, after = STAGES[: STAGES.index(stage)], STAGES[STAGES.index(stage) :]
    assert done.returncode == 1, done.stdout
    assert f"stopped in: {stage}\n" in done.stderr
    assert f"done:       {' '.join(before) or 'nothing'}\n" in done.stderr
    assert f"not done:   {' '.join(after)}\n" in done.stderr
    assert f"go on with: ./deploy contoso --from {stage}\n" in done.stderr
    azure.state["webhook"] = URL
    again = azure.run("--from", stage)
    assert again.returncode == 0, again.stderr
    assert again.stdout.rstrip().endswith("done: " + " ".join(after))


def test_a_single_stage_that_fails_is_gone_on_with_alone(azure: Azure) -> None:
    done = azure.run("--stage", "code")
    assert done.returncode == 1
    assert "deployment fusewatch-contoso is not there: ./deploy contoso --stage provision" in done.stderr
    assert "go on with: ./deploy contoso --stage code\n" in done.stderr


def test_missing_rights_are_named_with_the_role_that_gives_them_and_nothing_is_changed(azure: Azure) -> None:
    azure.state["rights"] = {
        HOST: [["*", "Microsoft.Authorization/*/Delete,Microsoft.Authorization/*/Write"]],
        OTHER: [
            ["*/read,Microsoft.Resources/deployments/*,Microsoft.Resources/subscriptions/resourceGroups/write", ""]
        ],
    }
    done = azure.run()
    assert done.returncode == 1
    assert f"subscription {HOST}: you may not Microsoft.Authorization/roleAssignments/write" in done.stdout
    assert "Role Based Access Control Administrator" in done.stdout
    assert f"subscription {OTHER}: you may not Microsoft.EventGrid/systemTopics/eventSubscriptions/write" in done.stdout
    assert "deployments/write" not in done.stdout
    assert changes(azure) == []


def test_two_roles_add_up_and_a_not_action_counts_for_its_own_role_only(azure: Azure) -> None:
    azure.state["rights"] = {
        "*": [
            ["*", "Microsoft.Authorization/*/Write"],
            ["Microsoft.Authorization/roleAssignments/write,Microsoft.Authorization/*/read", ""],
        ]
    }
    assert azure.run("--stage", "check").returncode == 0


def test_a_topic_that_was_there_before_is_reported_with_the_lines_for_the_tenants_file(azure: Azure) -> None:
    azure.state["topics"] = {OTHER: [["audit", "Default-EventGrid", "Microsoft.Resources.Subscriptions", "None"]]}
    done = azure.run()
    assert done.returncode == 1
    assert f"'{OTHER}': {{ name: 'audit', resourceGroup: 'Default-EventGrid', principalId: '' }}" in done.stdout
    assert changes(azure) == []
    azure.tenant(existingTopics=EXISTING)
    assert azure.run().returncode == 0
    assert f"--system-topic-name audit --resource-group Default-EventGrid --subscription {OTHER}" in azure.commands()


def test_topics_of_other_sources_are_nobody_s_business(azure: Azure) -> None:
    azure.state["topics"] = {OTHER: [["vault", "rg", "Microsoft.KeyVault.vaults", "None"]]}
    assert azure.run("--stage", "check").returncode == 0


def test_a_declared_topic_that_is_not_there_is_refused(azure: Azure) -> None:
    azure.tenant(existingTopics=EXISTING)
    done = azure.run("--stage", "check")
    assert done.returncode == 1
    assert f"subscription {OTHER} has no system topic audit in Default-EventGrid" in done.stdout


def test_a_failed_event_subscription_is_deleted_and_made_again(azure: Azure) -> None:
    azure.state["outcomes"] = {OTHER: ["Failed", "Failed", "Succeeded"]}
    done = azure.run()
    assert done.returncode == 0, done.stderr
    assert azure.commands().count("event-subscription delete") == 2
    assert azure.state["events"][OTHER] == "Succeeded"


def test_one_that_stays_failed_stops_the_deployment(azure: Azure) -> None:
    azure.state["outcomes"] = {OTHER: ["Failed"] * 9}
    done = azure.run()
    assert done.returncode == 1
    assert f"not wired: {OTHER} evgt-fusewatch-subscription rg-fusewatch-events Failed" in done.stdout
    assert "1 of 2 subscriptions are not wired" in done.stderr


def test_verify_mends_an_event_subscription_that_failed_since(azure: Azure) -> None:
    assert azure.run().returncode == 0
    azure.state["events"][HOST] = "Failed"
    assert azure.run("--stage", "verify").returncode == 0
    assert azure.state["events"][HOST] == "Succeeded"


def test_an_event_subscription_that_cannot_be_read_is_not_taken_for_missing(azure: Azure) -> None:
    azure.state["fail"] = {"event-subscription show": 1}
    done = azure.run()
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "compiled/events.json" not in azure.commands()


def test_sync_is_repeated_until_all_functions_are_listed(azure: Azure) -> None:
    azure.state["listed_after"] = 3
    assert azure.run().returncode == 0
    assert azure.state["syncs"] == 3


def test_functions_that_never_appear_stop_it(azure: Azure) -> None:
    azure.state["listed_after"] = 1000
    azure.run("--stage", "provision")
    done = azure.run("--stage", "sync")
    assert done.returncode == 1
    assert "never listed: scan_tenant on_role_change settle" in done.stderr


def test_an_unresolved_webhook_reference_is_named(azure: Azure) -> None:
    azure.state["unresolved"] = ["TEAMS_WEBHOOK_URL"]
    done = azure.run()
    assert done.returncode == 1
    assert "no webhook URL that the app can read for: TEAMS_WEBHOOK_URL" in done.stderr


def test_a_vault_that_was_removed_is_brought_back(azure: Azure) -> None:
    assert azure.run("--stage", "provision").returncode == 0
    assert "recoverVault=false" in azure.commands()
    azure.state["deleted_vault"] = "kv-x"
    assert azure.run("--stage", "provision").returncode == 0
    assert "recoverVault=true" in azure.commands()


def test_a_webhook_url_goes_into_the_vault_and_nowhere_else(azure: Azure) -> None:
    azure.tenant(teams=["PAYMENTS"])
    done = azure.run(TEAMS_WEBHOOK_URL=URL, TEAMS_WEBHOOK_URL_PAYMENTS=URL + "2")
    assert done.returncode == 0, done.stderr
    sent = [body["url"]["value"] for body in azure.sent() if "url" in body]
    assert sent == [URL, URL + "2"]
    assert "very-secret" not in azure.commands() + done.stdout + done.stderr
    assert "appsettings/refresh" in azure.commands()


def test_a_webhook_is_rotated_by_the_same_command(azure: Azure) -> None:
    azure.tenant(teams=["PAYMENTS"])
    azure.state["provisioned"] = True
    done = azure.run("--webhook", "payments", stdin=URL + "\n")
    assert done.returncode == 0, done.stderr
    assert azure.sent()[0]["team"]["value"] == "PAYMENTS"
    assert "very-secret" not in azure.commands() + done.stdout
    assert azure.run("--webhook", stdin="not an address\n").returncode == 1


def test_a_webhook_that_the_deployer_may_not_read_skips_the_card_visibly(azure: Azure) -> None:
    azure.state["webhook"] = "forbidden"
    done = azure.run()
    assert done.returncode == 0
    assert "SKIPPED test card" in done.stdout


def test_a_refused_card_is_a_failure(azure: Azure) -> None:
    azure.cli("sys.exit(1 if 'webhook-test' in sys.argv else 0)")
    done = azure.run()
    assert done.returncode == 1
    assert "the test card was not accepted" in done.stderr


def test_what_preflight_finds_missing_is_said_and_stops_nothing(azure: Azure) -> None:
    azure.cli("sys.exit(0 if 'webhook-test' in sys.argv else 4)")
    done = azure.run()
    assert done.returncode == 0
    assert "preflight, run as you and not as the app, found something missing" in done.stdout


def test_a_python_without_the_packages_is_refused_before_anything_is_changed(azure: Azure) -> None:
    azure.program("bare", f'exec "{sys.executable}" -S "$@"')
    done = azure.run(PYTHON="bare")
    assert done.returncode == 1
    assert "- bare lacks packages: pip install --require-hashes -r requirements.txt" in done.stdout
    assert changes(azure) == []


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda azure: azure.state.update(tenant="0" * 8), "signed in to tenant 00000000"),
        (lambda azure: azure.state["fail"].update({"account show": 1}), f"az login --tenant {TENANT}"),
        (lambda azure: azure.tenant(subscriptions=["prod"]), "'prod' is no id"),
        (lambda azure: azure.tenant(subscriptions=[HOST, HOST]), "named twice"),
        (lambda azure: azure.tenant(teams=["payments"]), "teams: 'payments'"),
        (lambda azure: azure.tenant(name="X"), "name: 'X'"),
        (lambda azure: azure.tenant(existingTopics={"x": {}}), "none of the subscriptions"),
        (lambda azure: azure.tenant(existingTopics={HOST: {"name": "a"}}), "needs name, resourceGroup and principalId"),
        (lambda azure: azure.tenant(tags={"url": URL}), "looks like a secret"),
        (lambda azure: azure.tenant(location="@/etc/passwd"), "location: '@/etc/passwd' is no region's name"),
        (lambda azure: azure.tenant(location="westeurope\n--debug"), "location: 'westeurope\\n--debug'"),
        (lambda azure: azure.tenant(name="x' || contains('a"), "name: \"x'"),
        (lambda azure: azure.tenant(subscriptionId=f"{HOST}\n"), "subscriptionId: "),
        (lambda azure: azure.tenant(teams=["A B"]), "teams: 'A B'"),
        (lambda azure: azure.tenant(existingTopics=existing(name="a b c")), "'a b c' is no name of a topic"),
        (lambda azure: azure.tenant(existingTopics=existing(name="--yes")), "'--yes' is no name of a topic"),
        (
            lambda azure: azure.tenant(existingTopics=existing(resourceGroup="-rg")),
            "'-rg' is no name of a resource group",
        ),
        (lambda azure: azure.tenant(existingTopics=existing(resourceGroup="rg\nx")), "'rg\\nx' is no name of"),
        (lambda azure: azure.tenant(existingTopics=existing(principalId="$(id)")), "'$(id)' is no id of an identity"),
    ],
)
def test_a_wrong_tenant_is_refused_before_anything_else(
    azure: Azure, prepare: Callable[[Azure], None], message: str
) -> None:
    prepare(azure)
    done = azure.run()
    assert done.returncode == 1
    assert message in done.stderr
    assert changes(azure) == []


def test_stale_templates_are_refused(azure: Azure) -> None:
    (azure.root / "infra" / "main.bicep").write_text("// changed")
    done = azure.run()
    assert done.returncode == 1
    assert "main.bicep" in done.stderr
    assert changes(azure) == []


def test_a_tenant_that_was_not_compiled_can_be_deployed(azure: Azure) -> None:
    (azure.root / "infra" / "tenants" / "new.bicepparam").write_text("")
    assert azure.run("--stage", "check").returncode == 0


def test_an_incomplete_checkout_is_refused(azure: Azure) -> None:
    (azure.root / "requirements.txt").unlink()
    done = azure.run()
    assert done.returncode == 1
    assert "requirements.txt is missing" in done.stdout


def test_destroy_asks_and_removes_only_what_is_ours(azure: Azure) -> None:
    azure.tenant(existingTopics=EXISTING)
    azure.state |= {
        "provisioned": True,
        "groups": {f"{HOST} rg-fusewatch": "fusewatch", f"{HOST} rg-fusewatch-events": "fusewatch"},
    }
    assert azure.run("--destroy", stdin="yes\n").returncode == 1
    assert changes(azure) == []
    done = azure.run("--destroy", stdin="contoso\n")
    theirs = f"--resource-group Default-EventGrid --subscription {OTHER}"
    assert done.returncode == 0, done.stderr
    assert azure.state["groups"] == {}
    assert f"event-subscription delete --name fusewatch --system-topic-name audit {theirs}" in azure.commands()
    assert "group delete --name Default-EventGrid" not in azure.commands()
    assert "--assignee-object-id 99999999" in done.stdout
    again = azure.run("--destroy", "--yes")
    assert again.returncode == 0
    assert "gone already" in again.stdout


def test_destroy_leaves_a_group_that_is_not_ours(azure: Azure) -> None:
    azure.state["groups"] = {f"{HOST} rg-fusewatch": "", f"{HOST} rg-fusewatch-events": "other"}
    done = azure.run("--destroy", "--yes")
    assert done.returncode == 1
    assert "not ours to remove" in done.stderr
    assert changes(azure) == []


HOSTILE = [
    "a; touch x",
    "$(touch x)",
    "`touch x`",
    "../../etc/passwd",
    "a b",
    "a\nb",
    "*",
    "'",
    "-",
    "",
    "\x1b[2J",
    "x" * 41,
]


@pytest.mark.parametrize("tenant", HOSTILE)
def test_a_hostile_name_of_a_tenant_reaches_no_command(azure: Azure, tenant: str) -> None:
    """Neither as a word of a shell nor as a path, nor as bytes for the terminal; also when such a file exists."""
    file = azure.root / "infra/tenants" / f"{tenant}.bicepparam"
    if "/" not in tenant:
        file.write_text("")
    for name in (tenant, str(file)):
        done = azure.run(tenant=name)
        assert done.returncode in (1, 2), done.stdout
        assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in done.stdout + done.stderr)
    assert azure.calls() == []
    assert not list(azure.root.rglob("x"))


def test_a_complaint_of_az_neither_ends_a_line_nor_steers_the_terminal(azure: Azure) -> None:
    """A display name in it can be anything; a line that begins with :: is a command to a GitHub runner."""
    azure.state["complaint"] = "no 'a\n::add-mask::e\n\x1b]0;owned\x07' $(touch x) \N{RIGHT-TO-LEFT OVERRIDE}"
    for command in ("account show", "event-subscription show"):
        azure.state["fail"] = {command: 1}
        done = azure.run()
        assert done.returncode == 1
        assert "::add-mask::e" in done.stderr and "\x1b" not in done.stderr and "\x07" not in done.stderr
        assert not [line for line in done.stderr.splitlines() if line.lstrip().startswith("::")]
    assert not list(azure.root.rglob("x"))


def test_hostile_answers_of_az_are_data(azure: Azure) -> None:
    """Names with quotes, globs and substitutions: nothing is run, and a foreign topic is not taken for ours."""
    hostile = "evgt-*'; touch x; $(touch x) `touch x`"
    azure.state["topics"] = {OTHER: [[hostile, "rg-*", "Microsoft.Resources.Subscriptions", "None"]]}
    done = azure.run()
    assert done.returncode == 1 and "has a system topic already" in done.stdout
    azure.state |= {"topics": {}, "unresolved": ["$(touch x)'*"], "groups": {f"{HOST} rg-fusewatch": "*"}}
    azure.state["rights"] = {"*": [["$(touch x)", ""], ["*", "Nothing/*"]]}
    done = azure.run()
    assert done.returncode == 1 and "$(touch x)'*" in done.stderr
    done = azure.run("--destroy", "--yes")
    assert done.returncode == 1 and "not ours to remove" in done.stderr
    assert not list(azure.root.rglob("x"))


def test_a_webhook_is_kept_only_for_a_team_of_the_tenant(azure: Azure) -> None:
    azure.tenant(teams=["PAYMENTS"])
    azure.state["provisioned"] = True
    done = azure.run("--webhook", "$(touch x)/../secrets", stdin=URL + "\n")
    assert done.returncode == 1
    assert "is none of the teams in the tenant's file (PAYMENTS)" in done.stderr
    assert azure.sent() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stage", "nothing"), "there is no stage nothing"),
        (("--stage",), "--stage needs a stage: check what-if"),
        (("--stage", "check", "--destroy"), "--stage or --destroy, not both"),
        (("--fast",), "there is no option --fast"),
        (("fabrikam",), "one tenant at a time: contoso or fabrikam"),
    ],
)
def test_usage_mistakes_are_said(azure: Azure, arguments: tuple[str, ...], message: str) -> None:
    done = azure.run(*arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}")
    assert azure.calls() == []


def test_help_fits_a_wide_terminal(azure: Azure) -> None:
    done = azure.run("--help")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 125


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "foo"), "--only takes azure or graph, not foo"),
        (("--only",), "--only needs a value"),
        (("--fast",), "there is no option --fast"),
        (("fabrikam",), "one tenant at a time: contoso or fabrikam"),
    ],
)
def test_usage_mistakes_of_grant_are_said(azure: Azure, arguments: tuple[str, ...], message: str) -> None:
    done = azure.run(*arguments, program="infra/access/grant")
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}")
    assert azure.calls() == []


@pytest.mark.parametrize("program", ["./deploy", "infra/access/grant"])
def test_an_unknown_tenant_is_said_before_a_missing_compiler(azure: Azure, program: str) -> None:
    (azure.bin / "bicep").unlink()
    places = [one for one in azure.environment["PATH"].split(os.pathsep) if not (Path(one) / "bicep").exists()]
    missing = {"BICEP": "", "PATH": os.pathsep.join(places)}
    assert "there is no " in azure.run(program=program, tenant="nobody", **missing).stderr
    assert "Bicep is missing" in azure.run(program=program, **missing).stderr


def test_of_what_the_compiler_says_only_the_errors_are_shown(azure: Azure) -> None:
    wrong = 'contoso.bicepparam(8,18) : Error BCP033: Expected a value of type "string"'
    azure.program(
        "bicep", f"echo 'modules/alerts.bicep(90,57) : Warning old: 1090 days' >&2; echo '{wrong}' >&2; exit 1"
    )
    done = azure.run()
    assert done.returncode == 1
    first, *others = done.stderr.splitlines()
    assert first.startswith("bicep build-params ") and first.endswith("/contoso.bicepparam failed:")
    assert others == [wrong]
    azure.program("bicep", "echo 'no such runtime' >&2; exit 1")
    assert azure.run().stderr.splitlines()[1:] == ["no such runtime"]


def test_grant_without_names_leaves_the_users_out(azure: Azure) -> None:
    azure.state["provisioned"] = True
    assert azure.run("--no-names", program="infra/access/grant").returncode == 0
    assert azure.state["granted"] == ["role-Application.Read.All"]


def test_grant_gives_each_permission_once(azure: Azure) -> None:
    azure.state["provisioned"] = True
    done = azure.run("--management-group", "root", "--narrow", program="infra/access/grant")
    assert done.returncode == 0, done.stderr
    assert azure.state["granted"] == ["role-Application.Read.All", "role-User.ReadBasic.All"]
    assert "--management-group-id root" in azure.commands() and "narrow=true" in azure.commands()
    assert azure.run(program="infra/access/grant").returncode == 0
    assert azure.state["granted"] == ["role-Application.Read.All", "role-User.ReadBasic.All"]
    assert f'subscriptions=["{HOST}","{OTHER}"]' in azure.commands()


def test_a_refused_grant_names_the_role_it_takes(azure: Azure) -> None:
    azure.state |= {"provisioned": True, "fail": {"rest post": 1}}
    done = azure.run("--only", "graph", program="infra/access/grant")
    assert done.returncode == 1
    assert "Privileged Role Administrator" in done.stderr
    assert "deployment sub create" not in azure.commands()


@pytest.mark.parametrize("script", ["deploy", "infra/access/grant", ".ci/run"])
def test_shellcheck_has_nothing_against_a_script(script: str) -> None:
    done = subprocess.run([tool("shellcheck"), ROOT / script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
