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
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    kept = {file.name: file.read_text(encoding="utf-8") for file in (INFRA / "compiled").glob("*.json")}
    assert made.keys() == kept.keys()
    for name, content in made.items():
        assert content == kept[name], name


def test_both_examples_are_there() -> None:
    examples = {
        tenant: len(compiled(f"{tenant}.snapshot")["outputs"]["events"]["subscriptions"]["value"])
        for tenant in ("contoso", "fabrikam")
    }
    assert examples == {"contoso": 1, "fabrikam": 40}


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


def checkov(folder: Path) -> dict[str, object]:
    """Its report on the sources. Not on what is compiled of them: in templates with named resources it sees none."""
    return json.loads(
        run(tool("checkov"), "--skip-download", "--quiet", "-o", "json", "-d", folder, "--framework", "bicep").stdout
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The sources without the one line that checkov's parser does not know, the Graph extension."""
    copy = tmp_path / "infra"
    shutil.copytree(INFRA, copy, ignore=shutil.ignore_patterns("compiled", "__pycache__"))
    graph = copy / "access/graph.bicep"
    text = graph.read_text(encoding="utf-8")
    assert text.count("extension microsoftGraphV1\n") == 1
    graph.write_text(text.replace("extension microsoftGraphV1\n", ""), encoding="utf-8")
    return copy


def test_checkov_passes_reads_every_file_and_each_skip_has_its_reason(sources: Path) -> None:
    report = checkov(sources)
    summary, results = report["summary"], report["results"]
    # checkov calls a file that it cannot parse a success.
    assert (summary["failed"], summary["parsing_errors"]) == (0, 0), json.dumps(results["failed_checks"], indent=1)
    assert summary["passed"] >= 15
    skipped = re.findall(r"checkov:skip=(\w+): (.+)", "\n".join(file.read_text() for file in INFRA.rglob("*.bicep")))
    assert summary["skipped"] == len(skipped), "a skip that skips nothing"
    assert all(len(reason) > 5 for _, reason in skipped)


def test_checkov_finds_what_is_wrong_and_says_what_it_cannot_read(sources: Path) -> None:
    """So that the test before this one can fail."""
    storage = sources / "modules/storage.bicep"
    storage.write_text(storage.read_text().replace("supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false"))
    (sources / "unreadable.bicep").write_text("var wrong = {\n")
    summary = checkov(sources)["summary"]
    assert summary["failed"] >= 1
    assert summary["parsing_errors"] == 1
