import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rule import command, commands, date_text, fingerprint, placeholders
from shared.rules import RULES
from tests.builders import NOW, rule_of

FACTS = st.one_of(st.text(), st.lists(st.text(), max_size=3))


@pytest.mark.parametrize(
    ("template", "facts", "expected"),
    [
        ("az x --id {id}", {"id": "abc"}, ("az x --id abc",)),
        ("az x --id {id}", {"id": "a b; rm -rf '/'"}, ("""az x --id 'a b; rm -rf '"'"'/'"'"''""",)),
        ("az x --id {id} {more}", {"id": "", "more": []}, ("az x --id ''",)),
        ("az x {more} -y", {"more": ["--cert", "a b"]}, ("az x --cert 'a b' -y",)),
        ("a {id}\nb {id}", {"id": "1\n2"}, ("a '1\n2'", "b '1\n2'")),
        ("a {id}", {"id": "two  blanks"}, ("a 'two  blanks'",)),
        ("a {id}", {"id": "{id}"}, ("a '{id}'",)),
        ("", {}, ()),
    ],
)
def test_commands(template, facts, expected):
    assert commands(template, facts) == expected
    assert command(template, facts) == "\n".join(expected)


def test_a_missing_fact_is_an_error():
    with pytest.raises(KeyError):
        commands("a {id}", {})


TEMPLATES = [
    line
    for rule in RULES
    for runbook in rule.runbooks.values()
    for line in (*runbook.confirm.splitlines(), *runbook.fix.splitlines())
]


@given(st.sampled_from(TEMPLATES), st.data())
def test_whatever_the_facts_are_the_shell_sees_the_words_that_were_meant(template, data):
    facts = {name: data.draw(FACTS, label=name) for name in placeholders(template)}
    (line,) = commands(template, facts)
    # What the shell runs inside $(...) is a command of its own.
    inner = line.removeprefix("NEW_SECRET=$(").removesuffix(")") if line.startswith("NEW_SECRET=$(") else line
    pattern = template.removeprefix("NEW_SECRET=$(").removesuffix(")") if inner != line else template
    words = []
    for word in shlex.split(pattern):
        name = word.strip("{}")
        value = facts[name] if word == f"{{{name}}}" else [word]
        words += [value] if isinstance(value, str) else value
    assert shlex.split(inner) == words


def test_placeholders():
    assert placeholders("az {a} --x {b_c} [?keyId=='{a}'] {not one}") == {"a", "b_c"}


def test_a_fingerprint_is_a_legal_row_key_without_anything_volatile():
    one = fingerprint("r", "/Subscriptions/A", "K")
    assert one == fingerprint("r", "/subscriptions/a", "k")
    assert len(one) == 32 and set(one) <= set("0123456789abcdef")
    assert len({one, fingerprint("r2", "/subscriptions/a", "k"), fingerprint("r", "/subscriptions/a/k", "")}) == 3


def test_an_unknown_variant_has_the_general_runbook():
    rule = rule_of()
    assert rule.runbook("from the future") is rule.runbook()


def test_date_text():
    assert date_text(NOW) == "Mon 23 Nov 2026"
