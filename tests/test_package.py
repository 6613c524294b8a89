"""The package, built as Azure builds it: what is in it, what it weighs, and that the worker finds every function."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import ROOT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("infra_package", ROOT / "infra/package.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


package = load()
PACKAGES = Path(".python_packages/lib/site-packages")
"""Where the Functions host looks for them; https://learn.microsoft.com/azure/azure-functions/python-build-options."""
VERSION = (3, 13)
deployed_python = pytest.mark.skipif(
    sys.version_info[:2] != VERSION, reason="the package is built with the deployed Python, 3.13"
)


def build(target: Path) -> None:
    """Makes a folder as it lies in Azure after the remote build."""
    for path in package.files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target / path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*pip, "--requirement", target / "requirements.txt", "--target", target / PACKAGES], check=True)


def isolated(target: Path, *arguments: str, more: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs this Python on nothing but its standard library and a folder that was built."""
    path = ":".join(map(str, (target / PACKAGES, target, *more)))
    # -S: without the packages of the environment that this runs in, which would hide a missing requirement.
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, env={"PYTHONPATH": path}, cwd=target, capture_output=True, text=True, timeout=300)


def import_seconds(target: Path, module: str) -> float:
    """How long a new process takes to start and import a module; raises SystemExit when it cannot."""
    began = time.monotonic()
    done = isolated(target, "-c", f"import {module}")
    if done.returncode:
        raise SystemExit(f"import {module} fails in the package:\n{done.stderr}")
    return time.monotonic() - began


def megabytes(folder: Path) -> float:
    """The size of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def functions() -> set[str]:
    """The functions that function_app.py declares."""
    body = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8")).body
    return {
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("trigger" in ast.unparse(one) for one in node.decorator_list)
    }


def test_the_package_is_what_funcignore_leaves_of_the_repository() -> None:
    """So that `func azure functionapp publish`, which reads .funcignore alone, sends the same."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    tracked = {Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()}
    assert {path for path in tracked if not package.ignored(path, package.patterns())} == set(package.files())


def test_what_lies_about_in_a_checkout_is_not_packed(tmp_path: Path) -> None:
    for name in ("function_app.py", "host.json", "requirements.txt", "notes.txt", ".env", "local.settings.json"):
        (tmp_path / name).write_text("")
    for name in ("shared/rules", "shared/__pycache__", "shared/tests", ".venv/lib", "tests"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "one.py").write_text("")
    (tmp_path / "shared/.secret").write_text("")
    shutil.copy(ROOT / ".funcignore", tmp_path)
    assert {path.as_posix() for path in package.files(tmp_path)} == {
        *("function_app.py", "host.json", "requirements.txt", "shared/rules/one.py"),
    }


def test_a_pattern_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".funcignore").write_text("shared/*\n")
    with pytest.raises(SystemExit, match="only names"):
        package.patterns(tmp_path)


def test_the_version_is_the_one_that_is_deployed() -> None:
    template = (ROOT / "infra/modules/app.bicep").read_text(encoding="utf-8")
    assert "version: '{}.{}'".format(*VERSION) in template


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    build(folder)
    return folder


@deployed_python
def test_it_is_small_and_starts_in_a_fraction_of_what_the_host_allows(built: Path) -> None:
    """The host gives a start 30 s, packages included: https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan."""
    size, seconds = megabytes(built), import_seconds(built, "function_app")
    first = import_seconds(built, "shared.app")
    print(f"package: {size:.0f} MB; cold import of function_app {seconds:.2f} s, of shared.app {first:.2f} s")
    assert size < 500
    assert seconds < 5 and first < 15


@deployed_python
def test_the_worker_indexes_every_function_from_it(built: Path, tmp_path: Path) -> None:
    """Only the worker's own library comes from outside: every other import must be in the package."""
    found = importlib.util.find_spec("azure_functions_runtime")
    assert found and found.submodule_search_locations
    outside = tmp_path / "outside"
    (outside / "tests").mkdir(parents=True)
    (outside / "azure_functions_runtime").symlink_to(found.submodule_search_locations[0])
    shutil.copy(ROOT / "tests/worker_host.py", outside / "tests")
    done = isolated(built, "-m", "tests.worker_host", str(built), more=(outside,))
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["functions"].keys() == functions()


@deployed_python
def test_the_doctor_finds_no_failure(built: Path, tmp_path: Path) -> None:
    """https://pypi.org/project/azure-functions-doctor: its deploy profile, for the plan that we deploy to."""
    doctor = os.environ.get("DOCTOR") or str(ROOT / ".venv-infra/bin/azure-functions-doctor")
    if not Path(doctor).is_file():
        pytest.skip("no azure-functions-doctor: `make tools` installs one, or set DOCTOR")
    project = tmp_path / "project"
    for path in package.files():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(built / path, project / path)
    shutil.copy(ROOT / ".funcignore", project)
    report = tmp_path / "report.json"
    wanted = ["--profile", "deploy", "--hosting-plan", "flex-consumption", "--target-python", "3.13"]
    done = subprocess.run(
        [doctor, "doctor", "--path", project, *wanted, "--format", "json", "--output", report],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = [item for section in json.loads(report.read_text())["results"] for item in section["items"]]
    assert len(results) > 20
    assert not [item for item in results if item["status"] == "fail"]
