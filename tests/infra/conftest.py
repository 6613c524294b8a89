"""What the infrastructure tests share: the project's root, the compiled templates, the compiler if there is one."""

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """A program of infra/, as a module."""
    spec = importlib.util.spec_from_file_location(f"infra_{name}", ROOT / "infra" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(name: str) -> dict[str, Any]:
    """A file of infra/compiled."""
    return json.loads((ROOT / "infra" / "compiled" / f"{name}.json").read_text(encoding="utf-8"))


def tool(name: str) -> str:
    """A program of .venv-infra or of the PATH, or the one that the variable of its name names; without it: skipped."""
    given, ours = os.environ.get(name.upper()), ROOT / ".venv-infra/bin" / name
    found = given or (str(ours) if ours.is_file() else shutil.which(name))
    if not found:
        pytest.skip(f"no {name}: `make tools` installs it, or set {name.upper()}")
    return found


@pytest.fixture(scope="session")
def bicep() -> str:
    """The Bicep compiler; the test is skipped where there is none."""
    beside = ROOT.parent / "shared" / "tools" / "bicep"
    found = load("compile").find_bicep() or (str(beside) if beside.is_file() else None)
    if not found:
        pytest.skip("no Bicep compiler on the PATH (az bicep install)")
    return shutil.which(found) or found
