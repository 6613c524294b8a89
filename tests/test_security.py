"""docs/security.md names a test for each claim: every one of them exists."""

from __future__ import annotations

import ast
import re

import pytest

from .conftest import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


def test_every_claim_names_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith(("| claim", "|---"))]
    assert len(rows) == len(NAMED) > 15


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda one: one)
def test_it_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
