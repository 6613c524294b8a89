import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import amounts, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Größe — 価格 🚀", "Größe — 価格 🚀", id="letters, signs and emoji stay"),
        pytest.param("[click](https://evil.example) **x**", "[click](https://evil.example) **x**", id="markup stays"),
        pytest.param("a\nb\r\tc", "a\\nb\\r\\tc", id="line breaks and tabs"),
        pytest.param("a\x00b\x1b[31mc", "a\\u0000b\\u001b[31mc", id="control characters"),
        pytest.param("a\u202eb\u2066c", "a\\u202eb\\u2066c", id="characters that reorder the line"),
        pytest.param("a\u200bb\ufeffc", "a\\u200bb\\ufeffc", id="characters without a width"),
        pytest.param("a\u2028b\u2029c\u0085d", "a\\u2028b\\u2029c\\u0085d", id="line breaks of Unicode"),
        pytest.param("\ud800", "\\ud800", id="half of a pair"),
        pytest.param("\U000e0041", "\\U000e0041", id="invisible tags"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("length", "shown"), [(299, "a" * 299), (300, "a" * 300), (301, "a" * 299 + "…")], ids=["below", "at", "above"]
)
def test_a_long_text_is_cut_and_says_so(length, shown):
    assert visible("a" * length) == shown


def test_a_limit_of_ones_own():
    assert visible("abcdef", 4) == "abc…"


@given(st.text(), st.integers(1, 400))
def test_whatever_it_was_it_is_one_line_of_visible_characters(text, limit):
    shown = visible(text, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    assert not [letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    shown.encode()


def test_one_of_a_kind_is_no_plural():
    counts = {"subscriptions": 1, "clusters": 2, "applications": 1204, "role_assignments": 1, "identities": 1}
    said = "1 subscription, 2 clusters, 1,204 applications, 1 role assignment, 1 identity"
    assert amounts(counts) == said
    assert amounts({"registries": 0}) == "0 registries"
