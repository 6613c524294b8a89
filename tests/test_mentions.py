"""Who is mentioned, and that nothing of a name can be more than a name."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.card import MENTIONED, greeting
from shared.elements import mentions
from shared.findings import Observed, reconcile
from shared.model import Owner, Severity
from shared.rules import RULES
from tests.builders import NOW, alert, entry, finding, snapshot, unread
from tests.rendering import Browser
from tests.test_card import HOSTILE, content, one, schema_errors

ADA = Owner(object_id="0000ada0-0000-4000-8000-000000000000", name="Ada Lovelace", source="application", member=True)
SAFE = re.compile(r"<at>[^<>\[\]()*_`~#!|\\&{}/:.@\n]+</at>")


def owned(*owners, **changes):
    return finding(**{"owners": owners, **changes})


def entities(message):
    return content(message)["msteams"].get("entities", [])


def blocks(node):
    if isinstance(node, dict):
        own = [node["text"]] if node.get("type") == "TextBlock" else []
        return own + [text for value in node.values() for text in blocks(value)]
    return [text for item in node for text in blocks(item)] if isinstance(node, list) else []


def test_a_member_is_mentioned():
    message = one(alert([entry(owned(ADA))]))
    assert blocks(message) == ["<at>Ada Lovelace</at>"]
    assert entities(message) == [
        {"type": "mention", "text": "<at>Ada Lovelace</at>", "mentioned": {"id": ADA.object_id, "name": "Ada Lovelace"}}
    ]
    assert schema_errors(message) == []


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(replace(ADA, member=False), id="a guest, a disabled account, or one that was not read"),
        pytest.param(Owner(name="Ada Lovelace", source="tag owner of cluster x", member=True), id="a tag"),
    ],
)
def test_nobody_else_is(owner):
    message = one(alert([entry(owned(owner))]))
    assert blocks(message) == []
    assert "entities" not in content(message)["msteams"]


def test_a_resolution_calls_nobody():
    assert entities(one(alert(closed=[entry(owned(ADA))]))) == []


def test_the_copy_to_the_fallback_calls_nobody():
    subject = entry(owned(ADA, team="WEB", severity=Severity.CRITICAL))
    assert entities(one(alert([subject]))) == []
    assert len(entities(one(alert([subject], receiver="WEB")))) == 1


def test_each_person_once_and_no_more_than_fit():
    twice = [entry(owned(ADA)), entry(owned(replace(ADA, object_id=ADA.object_id.upper()), ADA))]
    assert len(entities(one(alert(twice)))) == 1
    crowd = [replace(ADA, object_id=f"id-{number}", name=f"Person {number}") for number in range(40)]
    assert len(entities(one(alert([entry(owned(*crowd))])))) == MENTIONED


def test_two_of_one_name_are_told_apart():
    first, second = mentions([("1", "John Smith"), ("2", "john smith")])
    assert (first.text, second.text) == ("<at>John Smith</at>", "<at>john smith 2</at>")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Lovelace, Ada (External)", "Lovelace Ada External"),
        ("Seán O'Brien-Ní Chonaill", "Seán O'Brien-Ní Chonaill"),
        ("山田 太郎", "山田 太郎"),
        ("<at>Everyone</at>", "at Everyone at"),
        ("[x](https://evil.example)", "x https evil example"),
        ("**", "owner"),
        ("", "owner"),
        ("--- a", "a"),
        ("# 1. a_b", "1 a b"),
    ],
)
def test_what_is_left_of_a_name(name, plain):
    assert mentions([("1", name)])[0].name == plain


@given(st.lists(st.tuples(st.integers(0, 5).map(str), st.text()), max_size=6))
def test_whatever_the_names_they_are_names(people):
    found = mentions(people)
    assert all(SAFE.fullmatch(one.text) for one in found)
    assert len({one.text.lower() for one in found}) == len(found) == len({identifier for identifier, _ in people})


def test_a_browser_shows_hostile_names_as_plain_words(tmp_path):
    owners = [replace(ADA, object_id=f"id-{number}", name=text) for number, text in enumerate(HOSTILE)]
    message = one(alert([entry(owned(*owners[:8]))]))
    assert len(blocks(message)) == 1
    page = Browser(tmp_path).render([message])
    assert page.links == []
    assert page.errors == []


def test_a_test_card_that_mentions():
    message = greeting(NOW, "ada.lovelace@shop.example")
    assert blocks(message) == ["<at>ada lovelace</at>"]
    assert entities(message)[0]["mentioned"]["id"] == "ada.lovelace@shop.example"
    assert entities(greeting(NOW)) == []


def test_owners_that_were_not_read_this_time_are_kept_and_not_mentioned():
    stored = owned(ADA)
    seen = Observed(findings=(replace(stored, owners=()),), aged_out=frozenset(), undecided=frozenset())
    (kept,) = reconcile([stored], seen, snapshot(unread(Owner)), RULES)
    assert kept.owners == (replace(ADA, member=False),)
