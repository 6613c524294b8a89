"""The command line, as a process of its own against the simulator."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import Fault, load
from simulator.azurite import Azurite

from .conftest import ROOT, Start, Watch, day

KEYS = ["fingerprint", "rule", "severity", "status", "resource_id"]
KEYS += ["title", "facts", "owners", "expires_on", "first_seen"]


def shared(watch: Watch, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m shared` in the simulated world."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("TEAMS_WEBHOOK")}
    return subprocess.run(
        [sys.executable, "-m", "shared", *arguments],
        cwd=ROOT,
        env=base | watch.env | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("date", ["2026-03-01T06:00Z", "2026-07-22T06:00Z", "2026-09-20T06:00Z"])
def test_a_dry_run_lists_exactly_what_the_tenant_file_declares(start: Start, date: str) -> None:
    watch = start(load("retailer"), storage=False)
    watch.advance(day(date))
    watch.azure.now = day(date)
    expected = next(one for one in watch.azure.tenant.expected if one.at == day(date))
    done = shared(watch, "scan", "--dry-run", "--format", "json", "--now", date)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [list(one) for one in found] == [KEYS] * len(found)
    assert sorted((one["rule"], one["resource_id"], one["severity"]) for one in found) == sorted(
        (one.rule, one.resource_id, one.severity) for one in expected.findings
    )
    named = {one.key for one in expected.findings if one.key}
    assert named <= {one["facts"].get("credential_name") for one in found}
    assert not any(character in done.stderr for character in "\r\x1b"), "progress bars without a terminal"


def test_graph_refused_is_partial_names_the_permission_and_resolves_nothing(watch: Watch, azurite: Azurite) -> None:
    now = "2026-09-13T06:00Z"
    watch.advance(day(now))
    assert shared(watch, "scan", "--now", now).returncode == 0
    before = {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"}
    watch.azure.add(Fault(path="/v1.0/", host="graph", status=403))
    done = shared(watch, "scan", "--now", "2026-09-13T12:00Z", "--format", "json")
    assert done.returncode == 3
    assert "Application.Read.All" in done.stderr
    assert before <= {row["RowKey"] for row in azurite.rows("findings") if row.get("status") == "open"}
    assert not [row for row in azurite.rows("findings") if row.get("status") == "resolved"]


@pytest.mark.parametrize("position", [101, 1_000, 20_000])
def test_a_credential_deep_in_the_listing_is_found(start: Start, position: int) -> None:
    from simulator import generate

    now = day("2026-11-01")
    watch = start(generate(applications=20_000, expiring=[position], seed=1, now=now), storage=False)
    done = shared(watch, "scan", "--dry-run", "--format", "json", "--now", "2026-11-01")
    assert done.returncode == 0, done.stderr
    # Every seventh generated application has no owner.
    lonely = ["entra_application_without_owner"] if (position - 1) % 7 == 0 else []
    assert [one["rule"] for one in json.loads(done.stdout)] == ["entra_credential_expiry", *lonely]
    assert "20,000 applications" in done.stderr


def test_exit_statuses(watch: Watch) -> None:
    now = "2026-09-13T06:00Z"
    watch.advance(day(now))
    assert shared(watch, "scan", "--dry-run", "--now", now, "--fail-on", "critical").returncode == 1
    assert shared(watch, "scan", "--dry-run", "--now", "2026-03-01", "--fail-on", "critical").returncode == 0
    wrong = shared(watch, "scan", "--dry-run", NOTICE_DAYS="soon", AZURE_CLOUD="Azuer")
    assert wrong.returncode == 2
    assert "NOTICE_DAYS" in wrong.stderr
    assert "AZURE_CLOUD" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    for storage in ("AccountName", "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=c2VjcmV0!"):
        half = shared(watch, "findings", AzureWebJobsStorage=storage)
        assert half.returncode == 2
        assert "AzureWebJobsStorage" in half.stderr
        assert "Traceback" not in half.stderr
        assert "c2VjcmV0" not in half.stderr
    lost = shared(watch, "findings", AzureWebJobsStorage="")
    assert lost.returncode == 2
    assert "TABLES_ENDPOINT" in lost.stderr
    assert set(re.findall("`([a-z-]+)", lost.stderr)) == {"scan", "impact", "report", "preflight", "webhook-test"}
    assert shared(watch, "scan", "--fail-on", "dreadful").returncode == 2


def test_scan_settle_findings_and_a_test_card(watch: Watch, tmp_path: Path) -> None:
    now = "2026-09-13T06:00Z"
    watch.advance(day(now))
    watch.azure.now = day(now)
    table = shared(watch, "scan", "--now", now)
    assert "critical" in table.stdout
    assert "Cluster shop-prod loses its sign-in to Azure on Sat 19 Sep 2026" in table.stdout
    assert shared(watch, "settle", "--now", now).returncode == 0
    assert watch.azure.cards("shop")
    listed = shared(watch, "findings", "--format", "json", "--output", str(tmp_path / "found.json"))
    assert listed.returncode == 0
    assert listed.stdout == ""
    assert any(one["severity"] == "critical" for one in json.loads((tmp_path / "found.json").read_text()))
    later = "2026-10-03T06:00Z"
    watch.advance(day(later))
    assert "STATUS" not in shared(watch, "scan", "--now", later).stdout
    assert "Cluster shop-prod loses" not in shared(watch, "findings").stdout
    (ended,) = (line for line in shared(watch, "findings", "--all").stdout.splitlines() if "shop-prod loses" in line)
    assert ended.split()[1:3] == ["critical", "resolved"]
    count = len(watch.azure.cards("shop"))
    assert shared(watch, "webhook-test", "--team", "shop").returncode == 0
    assert len(watch.azure.cards("shop")) == count + 1
    assert shared(watch, "webhook-test", "--team", "nobody").returncode == 2
    retired = shared(watch, "webhook-test", TEAMS_WEBHOOK_URL="https://contoso.webhook.office.com/webhookb2/secret")
    assert retired.returncode == 2
    assert retired.stderr.count("Workflow") == 1
    assert "no card was sent: set TEAMS_WEBHOOK_URL right first" in retired.stderr
    assert "secret" not in retired.stderr


def test_hostile_names_are_shown_as_they_are_and_do_nothing(start: Start, azurite: Azurite) -> None:
    watch = start(load("hostile"))
    expected = watch.azure.tenant.expected[0]
    now = expected.at.isoformat()
    watch.azure.now = expected.at
    scanned = shared(watch, "scan", "--now", now, "--verbose")
    assert scanned.returncode == 0, scanned.stderr
    assert shared(watch, "settle", "--now", now, "--verbose").returncode == 0
    cards = json.dumps([post.card for post in watch.azure.cards()], ensure_ascii=False)
    for name in ("[click](https://evil.example) **x**", "<at>Everyone</at>", "=cmd()"):
        assert name in cards
        assert name in scanned.stdout.replace("\n", "") or len(name) > 20
    assert '"TextBlock"' not in cards
    assert '"entities"' not in cards
    assert "evil.example" not in json.dumps(
        [one for post in watch.azure.cards() for one in _urls(post.card)], ensure_ascii=False
    )
    for text in (scanned.stdout, scanned.stderr, cards):
        assert "\u202e" not in text
    assert "\\n" in scanned.stdout
    assert "\\u202e" in scanned.stdout


def test_findings_that_cannot_be_written_are_told_in_a_sentence(watch: Watch) -> None:
    done = shared(watch, "scan", "--dry-run", "--now", "2026-03-01", "--output", "nowhere/found.json")
    assert done.returncode == 2
    assert done.stderr.endswith("fusewatch: could not write nowhere/found.json: No such file or directory\n")


DRY = ["scan", "--dry-run", "--now", "2026-03-01"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([*DRY, "--format", "table"], id="scan"),
        pytest.param([*DRY, "--format", "json"], id="scan as JSON"),
        pytest.param(["findings"], id="findings"),
        pytest.param(["silence", "list"], id="silence list"),
        pytest.param(["silence", "list", "--format", "json"], id="silence list as JSON"),
        pytest.param(["impact"], id="impact"),
        pytest.param(["impact", "--format", "json"], id="impact as JSON"),
        pytest.param(["preflight"], id="preflight"),
        pytest.param(["preflight", "--format", "json"], id="preflight as JSON"),
        pytest.param(["report", "--output", "-"], id="report"),
    ],
)
def test_a_reader_that_stops_reading_is_told_in_a_sentence(watch: Watch, arguments: list[str]) -> None:
    end, output = os.pipe()
    os.close(end)
    done = subprocess.run(
        [sys.executable, "-m", "shared", *arguments],
        cwd=ROOT,
        env={**os.environ, **watch.env},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(output)
    assert done.returncode == 2
    assert done.stderr == "fusewatch: could not write to stdout: Broken pipe\n"


def test_missing_packages_are_told_with_the_command_that_brings_them() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-m", "shared", "scan", "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fusewatch: packages are missing (")
    assert "pip install --require-hashes -r requirements.txt" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("broken", ["shared.cli._parser = None", "sys.modules['shared.app'] = None"])
def test_an_error_of_the_program_is_no_finding(broken: str) -> None:
    program = f"import runpy, sys, shared.cli; sys.argv = ['shared', 'scan', '--dry-run']; {broken}; "
    program += "runpy.run_module('shared', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_terminal_that_knows_few_letters_stops_nothing(start: Start, form: str) -> None:
    watch = start(load("hostile"), storage=False)
    now = watch.azure.tenant.expected[0].at.isoformat()
    done = shared(watch, "scan", "--dry-run", "--now", now, "--format", form, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    if form == "json":
        titles = [one["title"] for one in json.loads(done.stdout)]
        assert any("“" in title for title in titles)
    else:
        assert "\\u201c" in done.stdout


def test_json_on_a_terminal_holds_nothing_that_a_terminal_obeys(start: Start) -> None:
    """C1 controls and bidirectional marks are no ASCII, and so not in the escapes that JSON demands."""
    watch = start(load("hostile"), storage=False)
    now = watch.azure.tenant.expected[0].at.isoformat()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "shared", "scan", "--dry-run", "--now", now, "--format", "json"]
    with subprocess.Popen(
        command, cwd=ROOT, env=watch.env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        said = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.returncode == 0
    assert b"\\u201c" in said
    assert said.isascii()
    assert b"\x1b" not in said


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's way to say that nobody writes any more
        return b""


@pytest.mark.parametrize("now", ["0001-01-01", "9999-12-31", "soon"])
def test_a_date_out_of_range_is_wrong_usage(watch: Watch, now: str) -> None:
    done = shared(watch, "scan", "--dry-run", "--now", now)
    assert done.returncode == 2
    assert "--now" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_drawn_without_a_terminal(watch: Watch) -> None:
    done = shared(watch, "scan", "--dry-run", "--now", "2026-03-01", "--format", "json")
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr + done.stdout
    assert "\r" not in done.stderr + done.stdout


def _urls(node: object) -> list[str]:
    if isinstance(node, list):
        return [url for one in node for url in _urls(one)]
    if isinstance(node, dict):
        own = [node["url"]] if isinstance(node.get("url"), str) else []
        return own + [url for value in node.values() for url in _urls(value)]
    return []
