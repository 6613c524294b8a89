"""infra/compiled is what the sources give; the sources are clean for the compiler and for checkov."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, compiled, load, tool

INFRA = ROOT / "infra"
SOURCES = sorted(
    file.relative_to(INFRA).as_posix() for file in INFRA.rglob("*.bicep*") if file.name != "bicepconfig.json"
)
TENANTS = sorted(file.stem for file in INFRA.glob("tenants/*.bicepparam"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)


def test_nothing_changed_since_the_last_compilation() -> None:
    assert load("compile").stale() == [], "run `python3 infra/compile.py` and review what changes in infra/compiled"


def test_a_change_an_addition_and_a_removal_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "infra"
    shutil.copytree(INFRA, copy)
    module = load("compile")
    for name, path in {"INFRA": copy, "COMPILED": copy / "compiled", "SUMS": copy / "compiled" / "SHA256SUMS"}.items():
        monkeypatch.setattr(module, name, path)
    assert module.stale() == []
    (copy / "main.bicep").write_text("")
    (copy / "modules" / "new.bicep").write_text("")
    (copy / "compiled" / "events.json").unlink()
    (copy / "tenants" / "new.bicepparam").write_text("")
    assert module.stale(templates_only=True) == ["compiled/events.json", "main.bicep", "modules/new.bicep"]
    assert "tenants/new.bicepparam" in module.stale()


def test_compiling_again_gives_the_same_files(bicep: str, tmp_path: Path) -> None:
    load("compile").compile_all(bicep, INFRA, tmp_path)
    made = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in tmp_path.iterdir()}
    kept = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in (INFRA / "compiled").glob("*.json")}
    assert made.keys() == kept.keys()
    for name, content in made.items():
        assert content == kept[name], name


def test_both_examples_are_there() -> None:
    assert [
        len(compiled(f"{tenant}.snapshot")["outputs"]["events"]["subscriptions"]["value"]) for tenant in TENANTS
    ] == [1, 40]


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_lints_without_a_warning_and_is_formatted(bicep: str, source: str) -> None:
    file = INFRA / source
    done = run(bicep, "lint", file)
    # The age of an API version depends on today's date: no gate.
    left = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.strip() and " use-recent-api-versions: " not in line
    ]
    assert (done.returncode, left) == (0, [])
    assert run(bicep, "format", file, "--stdout").stdout == file.read_text(encoding="utf-8")


def test_security_rules_are_errors(bicep: str, tmp_path: Path) -> None:
    shutil.copy(INFRA / "bicepconfig.json", tmp_path)
    bad = tmp_path / "bad.bicep"
    bad.write_text("@secure()\nparam url string = 'https://example.invalid'\noutput leaked string = url\n")
    done = run(bicep, "lint", bad)
    assert done.returncode == 1
    assert {"secure-parameter-default", "outputs-should-not-contain-secrets"} <= set(
        re.findall(r"Error ([a-z-]+):", done.stderr + done.stdout)
    )


def checkov(*arguments: str | Path) -> dict[str, object]:
    done = run(tool("checkov"), "--skip-download", "--quiet", "-o", "json", *arguments)
    return json.loads(done.stdout)


def test_checkov_passes_reads_every_file_and_each_skip_has_its_reason() -> None:
    report = checkov("-d", INFRA, "--framework", "bicep", "--skip-path", "access/graph.bicep")
    assert isinstance(report, dict)
    summary, results = report["summary"], report["results"]
    # checkov calls a file that it cannot parse a success.
    assert (summary["failed"], summary["parsing_errors"]) == (0, 0), json.dumps(results["failed_checks"], indent=1)[
        :4000
    ]
    assert summary["passed"] >= 15
    skipped = re.findall(r"checkov:skip=(\w+): (.+)", "\n".join(file.read_text() for file in INFRA.rglob("*.bicep")))
    assert summary["skipped"] == len(skipped), "a skip that skips nothing"
    assert all(len(reason) > 5 for _, reason in skipped)


def test_checkov_has_nothing_against_the_one_file_that_it_cannot_parse() -> None:
    """It knows no `extension`; the compiled template it reads."""
    report = checkov("-f", INFRA / "compiled" / "access-graph.json", "--framework", "arm")
    found = report.get("summary", report)
    assert isinstance(found, dict)
    assert (found.get("failed"), found.get("parsing_errors")) == (0, 0)
