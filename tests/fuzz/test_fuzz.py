"""The fuzz targets in the suite: bounded, by hypothesis; `make fuzz` guides them by coverage, for longer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=300, deadline=2_000)
@given(data=st.binary(max_size=120))
def test_only_errors_that_are_named_come_out(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize(
    ("name", "samples"), [("events", 1), ("graph_pages", 8), ("arm_pages", 9), ("settings", 1), ("table_rows", 5)]
)
def test_what_is_left_alone_is_understood(name: str, samples: int) -> None:
    assert TARGETS[name](b"") == samples
