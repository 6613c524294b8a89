"""Every mutant still fits the code, names an invariant and tests that exist; two of them are tried here, all by "
"`make mutants`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import ROOT
from .__main__ import Mutant, applies, mutants, notices

every = pytest.mark.parametrize("mutant", mutants(), ids=lambda one: one.path.stem)


@every
def test_a_mutant_fits(mutant: Mutant) -> None:
    assert applies(mutant) == ""
    assert mutant.invariant[0].isdigit() and mutant.invariant.endswith(".")
    assert mutant.tests and all((ROOT / name).is_file() for name in mutant.tests)


def test_every_invariant_has_one() -> None:
    assert {one.invariant.partition(".")[0] for one in mutants()} == {str(number) for number in range(1, 11)}


@pytest.mark.parametrize("name", ["01a", "03b"])
def test_a_quick_one_is_noticed(name: str, tmp_path: Path) -> None:
    (mutant,) = [one for one in mutants() if one.path.stem.startswith(name)]
    assert notices(mutant, tmp_path) == ""
