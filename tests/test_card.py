"""Cards as JSON; what a browser makes of them is in test_card_browser.py.

The golden card: `UPDATE_GOLDEN=1 python -m pytest tests/test_card.py` writes it anew.
"""

import importlib.resources
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft6Validator

from shared.alerts import SHOWN
from shared.alerts import alert as grouped
from shared.card import LIMIT, Coverage, cards, coverage_text, greeting, portal_link, remaining, size, whose
from shared.findings import Reason, evaluate
from shared.model import NEVER, Application, Aside, DeletedApplication, ManagedCluster, Owner, Refusal, Severity
from shared.rules import BY_ID, RULES
from shared.text import visible
from tests import catalogue, estate
from tests.builders import (
    NOW,
    SP_OBJECT,
    TENANT_ID,
    after,
    alert,
    application,
    certificate,
    cluster,
    coverage,
    deleted,
    entry,
    finding,
    saml,
    secret,
    service_principal,
    snapshot,
    unread,
)

SCHEMA = json.loads((importlib.resources.files("adaptive_cards") / "schemas" / "schema-1.5.json").read_text())
VALIDATOR = Draft6Validator(SCHEMA)
GOLDEN = Path(__file__).parent / "fixtures" / "card.json"
PORTAL = "https://portal.azure.com"
INFO, WARNING, CRITICAL = Severity

HOSTILE = [
    "[click](https://evil.example) **x**",
    "<at>Everyone</at>",
    "=cmd()",
    "first\nsecond",
    "abc\u202egnp.exe",
    "n" * 256,
    "🚀🚀 ship",
    "<img src=x onerror=document.title='pwned'>",
    "{{DATE(2017-02-14T06:08:39Z,SHORT)}}",
    "${$root}",
    "https://evil.example",
    "'; rm -rf / #",
    "\u2028\u0000 `x` _y_ ~~z~~ # h",
]


def built(subject, seen=None, **changes):
    options = {"tenant_id": TENANT_ID, "portal": PORTAL, **changes}
    return cards(subject, coverage() if seen is None else seen, NOW, BY_ID, **options)


def one(subject, *args, **changes):
    (card,) = built(subject, *args, **changes)
    return card.message


def content(message):
    return message["attachments"][0]["content"]


def nodes(node):
    """Every object of a message."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def lines(message):
    """The text of every RichTextBlock, in reading order."""
    blocks = [node for node in nodes(message) if node.get("type") == "RichTextBlock"]
    return ["".join(run["text"] for run in block["inlines"]) for block in blocks]


def strings(node, inside=""):
    """Every string of a message but the texts of TextRuns, with the name that it has."""
    if isinstance(node, dict):
        for name, value in node.items():
            if not (node.get("type") == "TextRun" and name == "text"):
                yield from strings(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value, inside)
    elif isinstance(node, str):
        yield inside, node


def worlds():
    """Findings of every rule, as the rules make them."""
    world = [
        [cluster(), application(secret(), certificate(None)), service_principal(secret(after(-2)), *saml())],
        [cluster(name="second"), application(), service_principal(enabled=False)],
        [cluster(name="third"), application()],
        [cluster(name="fourth"), service_principal()],
        [cluster(name="fifth"), deleted(), deleted(SP_OBJECT)],
        [cluster(name="sixth"), deleted()],
        [cluster(name="seventh")],
        [Refusal(receiver="WEB", reason="it answered HTTP 410", since=after(-1))],
        [
            unread(Application, permission="Application.Read.All"),
            unread(ManagedCluster, "/subscriptions/1", reason="HTTP 503"),
            unread(DeletedApplication),
        ],
    ]
    every = [snapshot(*records, owners={application().id: ()}) for records in world]
    every += [
        *estate.worlds(),
        *catalogue.worlds(),
        snapshot(aside=(Aside(received=after(-1), problem="it has no data"),)),
    ]
    return [found for one in every for found in evaluate(one, RULES).findings]


def schema_errors(message):
    """What the schema of Adaptive Cards 1.5 refuses; it knows nothing of `msteams`, which is Teams' own."""
    card = {name: value for name, value in content(message).items() if name != "msteams"}
    return [error.message for error in VALIDATOR.iter_errors(card)]


def test_a_card_names_the_section_or_links_to_it(monkeypatch):
    found = worlds()[0]
    text = json.dumps(one(alert([entry(found)])))
    assert f"More: docs/rules.md, section {found.rule}" in text and "Read about it" not in text
    monkeypatch.setattr("shared.rule.HANDBOOK", "https://docs.example.org/rules.md")
    text = json.dumps(one(alert([entry(found)])))
    assert f"https://docs.example.org/rules.md#{found.rule}" in text and "More:" not in text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_section_that_a_card_names_is_there(rule):
    text = (Path(__file__).parent.parent / "docs" / "rules.md").read_text(encoding="utf-8")
    assert f"\n## {rule.id}\n" in text and rule.section.endswith(rule.id)


def test_every_rule_and_variant_gives_a_valid_card():
    findings = worlds()
    assert {one.rule for one in findings} == set(BY_ID)
    for found in findings:
        for reason in Reason:
            subject = entry(found, reason)
            message = one(alert(closed=[subject]) if reason in (Reason.RESOLVED, Reason.REPLACED) else alert([subject]))
            assert schema_errors(message) == []
            assert visible(found.title, 600) in "".join(lines(message))


def test_the_schema_refuses_what_is_no_card():
    broken = one(alert([entry()]))
    content(broken)["body"][0]["style"] = "purple"
    assert schema_errors(broken)


def test_the_envelope_that_workflows_take():
    message = one(alert([entry()]))
    (attachment,) = message["attachments"]
    assert message["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["contentUrl"] is None
    card = attachment["content"]
    assert (card["type"], card["version"], card["msteams"]) == ("AdaptiveCard", "1.5", {"width": "Full"})
    assert card["fallbackText"] == "Fusewatch: 1 warning"


def test_golden():
    owners = (Owner(object_id="ada", name="Ada Lovelace"), Owner(mail="ops@shop.example"))
    world = [cluster(), application(secret_ends=[after(5), after(-400)]), service_principal()]
    found = [replace(one, owners=owners) for one in evaluate(snapshot(*world), RULES).findings]
    subject = grouped("", [entry(one) for one in found if one.severity > INFO])
    closed = [
        entry(
            finding("a", title="Secret of payroll ends on Tue 1 Dec 2026", superseded_on=after(400)), Reason.REPLACED
        ),
        entry(finding("b", title="Cluster old-weu runs on a service principal"), Reason.RESOLVED),
    ]
    assert subject is not None
    message = one(replace(subject, closed=tuple(closed)))
    text = json.dumps(message, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_card_says_what_where_when_whose_and_how():
    home, world = cluster(), [cluster(), application(secret_ends=[after(5)]), service_principal()]
    found = next(one for one in evaluate(snapshot(*world), RULES).findings if one.severity is CRITICAL)
    message = one(alert([entry(replace(found, owners=(Owner(name="Ada"), Owner(object_id="bob"))))]))
    text = "\n".join(lines(message))
    for wanted in (
        "Fusewatch: 1 critical",
        f"tenant {TENANT_ID}",
        "Cluster prod-weu loses its sign-in to Azure on Sat 28 Nov 2026",
        "in 5 days",
        "critical · new · owners Ada, bob",
        f"cluster prod-weu · resource group shop · subscription {home.subscription_id} · key ids {secret().key_id}",
        "What breaks: Every new call to Azure fails",
        f"az ad app credential list --id {cluster().client_id}",
        "--reset-service-principal",
        "For good: Convert the cluster to a managed identity",
        "Scan of 2026-11-23 06:00 UTC read 3 subscriptions, 7 clusters, 1,204 applications, 2,210 service principals; "
        "nothing was left unread.",
    ):
        assert wanted in text
    (link,) = [node for node in nodes(message) if node.get("type") == "Action.OpenUrl"]
    assert link["url"] == f"{PORTAL}/#@{TENANT_ID}/resource{cluster().id}"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.NEW, "new"),
        (Reason.TIER, "nearer to its end"),
        (Reason.RAISED, "worse than before"),
        (Reason.REMINDER, "still open"),
    ],
)
def test_the_reason_is_on_the_card(reason, words):
    assert f"warning · {words} · owner Ada Lovelace" in lines(one(alert([entry(reason=reason)])))


@pytest.mark.parametrize(
    ("subject", "summary", "style"),
    [
        (alert([entry()]), "1 warning", "warning"),
        (alert([entry(), entry(finding("b", severity=CRITICAL))]), "1 critical, 1 warning", "attention"),
        (alert([entry(), entry(finding("b"))]), "2 warnings", "warning"),
        (alert([entry(finding(severity=INFO))]), "1 info", "accent"),
        (alert(counted=[entry(finding(severity=CRITICAL))]), "1 critical", "attention"),
        (alert(closed=[entry(reason=Reason.RESOLVED)]), "resolved", "good"),
        (alert(closed=[entry(reason=Reason.RESOLVED)] * 2), "2 resolved", "good"),
    ],
)
def test_the_heading(subject, summary, style):
    message = one(subject)
    assert content(message)["fallbackText"] == f"Fusewatch: {summary}"
    assert content(message)["body"][0]["style"] == style


@pytest.mark.parametrize(
    ("closed", "line"),
    [
        (entry(finding(title="T"), Reason.RESOLVED), "✓ T: resolved"),
        (
            entry(finding(title="T", superseded_on=after(400)), Reason.REPLACED),
            "✓ T: replaced by a credential ending Tue 28 Dec 2027; check that nothing still uses the old one",
        ),
        (
            entry(finding(title="T", superseded_on=NEVER), Reason.REPLACED),
            "✓ T: replaced by a credential that never ends; check that nothing still uses the old one",
        ),
    ],
)
def test_what_is_over_is_a_line(closed, line):
    assert line in lines(one(alert(closed=[closed])))


def test_a_note_and_a_team_without_a_receiver_are_said():
    text = lines(one(alert([entry(finding(team_note="team “x” has no receiver of its own"))]), note="Standing in."))
    assert "Standing in." in text
    assert "team “x” has no receiver of its own" in text


def test_a_row_of_another_version_is_shown_as_far_as_it_is_understood():
    text = lines(one(alert([entry(finding(facts={})), entry(finding("x", rule="from_the_future", title="F"))])))
    assert "F" in text and not [line for line in text if line.startswith("az ")]
    assert any(line.startswith("What breaks") for line in text)


@pytest.mark.parametrize(
    ("facts", "where"),
    [
        ({"app_id": "a", "key_id": "k"}, "app id a · key id k"),
        ({"cluster": "c", "key_ids": ["k", "l"]}, "cluster c · key ids k, l"),
        ({"cluster": "c", "key_ids": []}, "cluster c"),
    ],
)
def test_where(facts, where):
    assert where in lines(one(alert([entry(finding(facts=facts))])))


def test_a_problem_that_is_replaced_already_says_so():
    text = lines(one(alert([entry(finding(superseded_on=after(400), severity=INFO))])))
    assert "replaced by a credential ending Tue 28 Dec 2027" in text


def test_a_reason_that_has_no_words_is_named_as_it_is():
    assert any(" · none · " in line for line in lines(one(alert([entry(reason=Reason.NONE)]))))


def test_the_advice_that_is_the_same_for_all_is_given_once():
    text = lines(one(alert([entry(finding(name)) for name in "abc"])))
    assert len([line for line in text if line.startswith("For good")]) == 1
    assert len([line for line in text if line.startswith("What breaks")]) == 3


def test_a_command_that_is_too_long_is_left_out_whole():
    text = lines(one(alert([entry(finding(facts={**finding().facts, "resource_group": "x" * 700}))])))
    assert any(line.startswith("The command is too long for a card") for line in text)
    assert not [line for line in text if "…" in line and line.startswith("az ")]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Coverage(), "No scan has finished yet: this card does not know what else there is."),
        (Coverage(finished=NOW), "Scan of 2026-11-23 06:00 UTC read nothing; nothing was left unread."),
        (
            coverage(counts={"clusters": 2}, unread=("a", "b")),
            "Scan of 2026-11-23 06:00 UTC read 2 clusters. NOT read: a; b",
        ),
        (
            coverage(counts={"clusters": 2}, unread=tuple("abcdef")),
            "Scan of 2026-11-23 06:00 UTC read 2 clusters. NOT read: a; b; c; d; e; and 1 more",
        ),
    ],
)
def test_coverage(seen, text):
    assert coverage_text(seen) == text
    assert text in lines(one(alert([entry()]), seen))


@pytest.mark.parametrize(
    ("owners", "text"),
    [
        ((), "owner unknown"),
        (("a",), "owner a"),
        (("a", "b", "c"), "owners a, b, c"),
        (("a", "b", "c", "d", "e"), "owners a, b, c and 2 more"),
    ],
)
def test_whose(owners, text):
    assert whose(finding(owners=tuple(Owner(name=name) for name in owners))) == text


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(days=2), "in 2 days"),
        (timedelta(days=2, seconds=-1), "in 1 day"),
        (timedelta(days=1), "in 1 day"),
        (timedelta(hours=23, minutes=59), "in 23 hours"),
        (timedelta(hours=1), "in 1 hour"),
        (timedelta(minutes=59), "in less than an hour"),
        (timedelta(0), "less than an hour ago"),
        (timedelta(days=-3, hours=-1), "3 days ago"),
    ],
)
def test_remaining(left, text):
    assert remaining(NOW + left, NOW) == text


@pytest.mark.parametrize(
    ("subject", "link"),
    [
        (finding(), f"/resource{cluster().id}"),
        (finding(resource_id="/subscriptions/a b?c#d"), "/resource/subscriptions/a%20b%3Fc%23d"),
        (
            finding(resource_id="/applications/o", facts={"app_id": "a", "object_id": "o"}),
            "/view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Credentials/appId/a",
        ),
        (
            finding(resource_id="/servicePrincipals/o", facts={"app_id": "a", "object_id": "o"}),
            "/view/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/SignOn/objectId/o/appId/a",
        ),
        (
            finding(resource_id="/applications/o", facts={"app_id": "../a", "object_id": "o"}),
            "/view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Credentials/appId/..%2Fa",
        ),
        (finding(resource_id="/applications/o", facts={}), ""),
        (finding(resource_id="/", facts={}), ""),
    ],
)
def test_portal_link(subject, link):
    assert portal_link(subject, TENANT_ID, PORTAL) == (f"{PORTAL}/#@{TENANT_ID}{link}" if link else "")


def test_greeting():
    message = greeting(NOW)
    assert schema_errors(message) == []
    assert lines(message) == ["Fusewatch reaches this channel. Test card of 2026-11-23 06:00 UTC; nothing is wrong."]


# Size and splitting.


def worst(number, **changes):
    """A finding whose every text is as long as it can be, in letters of four bytes."""
    long = "🚀" * 256
    facts = {**finding().facts, "resource_group": "r" * 90, "cluster": "c" * 63}
    owners = tuple(Owner(name=f"{long}{one}") for one in range(5))
    fields = {"title": f"{long}{number}", "facts": facts, "owners": owners, "team_note": long, "severity": CRITICAL}
    return entry(finding(str(number), **{**fields, **changes}))


def complete(subject, parts):
    """Whether the cards together carry every entry of the alert, in order and exactly once."""
    shown, counted, closed = (
        [one for part in parts for one in getattr(part, name)] for name in ("shown", "counted", "closed")
    )
    # Where others are only counted, fewer may be shown; the worst always is.
    whole = len(shown) == len(subject.shown) or (shown and subject.counted)
    return whole and [*shown, *counted] == [*subject.shown, *subject.counted] and closed == list(subject.closed)


def test_where_others_are_only_counted_as_many_are_shown_as_fit_one_card():
    subject = alert(map(worst, range(SHOWN)), map(worst, range(489)))
    (card,) = built(subject)
    assert 1 <= len(card.shown) < SHOWN
    assert f"and {SHOWN + 489 - len(card.shown)} more (" in json.dumps(card.message)
    assert complete(subject, (card,))


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(alert(map(worst, range(SHOWN))), id="a dozen"),
        pytest.param(
            alert(map(worst, range(SHOWN)), map(worst, range(500)), map(worst, range(500))), id="and 500 more of each"
        ),
        pytest.param(alert([worst(1)], [worst(2)], map(worst, range(40))), id="one problem and many that are over"),
        pytest.param(alert(closed=map(worst, range(500))), id="only what is over"),
        pytest.param(alert(counted=map(worst, range(500))), id="only what is counted"),
        pytest.param(
            alert([worst(1, facts={**finding().facts, "resource_group": "🚀" * 500, "cluster": "🚀" * 50})]),
            id="one whose commands alone are too large",
        ),
    ],
)
def test_no_card_is_too_large(subject):
    seen = coverage(unread=tuple("🚀" * 500 for _ in range(9)))
    parts = built(subject, seen, note="🚀" * 900)
    assert max(size(part.message) for part in parts) <= LIMIT
    assert complete(subject, parts)
    assert not [error for part in parts for error in schema_errors(part.message)]
    if len(parts) > 1:
        headings = [content(part.message)["fallbackText"] for part in parts]
        assert [text.rpartition(" (")[2] for text in headings] == [
            f"{number} of {len(parts)})" for number in range(1, len(parts) + 1)
        ]


def test_a_dozen_ordinary_problems_need_two_cards_at_most():
    subject = alert([entry(finding(str(number), severity=CRITICAL)) for number in range(SHOWN)])
    assert len(built(subject)) <= 2


def test_beyond_thirty_lines_what_is_over_is_counted():
    text = lines(one(alert(closed=[entry(finding(str(number)), Reason.RESOLVED) for number in range(45)])))
    assert len([line for line in text if line.endswith(": resolved")]) == 30
    assert "✓ … and 15 more resolved or replaced, not shown here." in text


def test_when_no_line_fits_all_are_counted():
    text = "🚀" * 4000
    closed = [entry(finding(str(number), title=text), Reason.RESOLVED) for number in range(500)]
    (card,) = built(alert(closed=closed), coverage(unread=(text,)), note=text)
    assert size(card.message) <= LIMIT
    assert len(card.closed) == 500


# Text that anybody in the tenant can choose.


def chosen(text):
    """A finding in which every text that the tenant can choose is this one."""
    return finding(
        text,
        title=f"Secret “{text}” of {text} ends",
        resource_name=text,
        facts={"subscription": text, "resource_group": text, "cluster": text, "client_id": text, "app_id": text},
        owners=(Owner(name=text),),
        team_note=text,
        resource_id=f"/subscriptions/{text}",
    )


def everywhere(text):
    """A card that shows a text in every place there is."""
    subject = alert([entry(chosen(text))], [entry(chosen(text))], [entry(chosen(text), Reason.RESOLVED)])
    return built(subject, coverage(unread=(text,)), note=text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_stands_literally_in_text_runs_and_nowhere_else(text):
    message = one(alert([entry(chosen(text))], closed=[entry(chosen(text), Reason.RESOLVED)]))
    assert visible(text) in "\n".join(lines(message))
    elsewhere = [value for name, value in strings(message) if name != "url" and text in value]
    assert elsewhere == []
    assert not [node for node in nodes(message) if node.get("type") in ("TextBlock", "FactSet", "Input.Text")]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(min_size=1))
def test_no_text_from_a_finding_ever_becomes_markup_a_link_or_a_mention(text):
    ours = [content(part.message) for part in everywhere("plain")]
    # What is not text for a person is one of our own words, whatever the tenant says.
    own = {value for card in ours for name, value in strings(card) if name not in ("url", "fallbackText")}
    for part in everywhere(text):
        assert size(part.message) <= LIMIT
        for node in nodes(part.message):
            assert node.get("type") not in ("TextBlock", "FactSet", "Action.Submit", "Action.Execute")
            assert "entities" not in node and "selectAction" not in node
            if node.get("type") == "TextRun":
                assert "{{" not in node["text"]
                assert len(node["text"].splitlines()) <= 1
            if node.get("type") == "Action.OpenUrl":
                assert node["url"].startswith(f"{PORTAL}/#@{TENANT_ID}/")
                assert set(node["url"]) <= set(
                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%/:#@"
                )
        card = content(part.message)
        assert {value for name, value in strings(card) if name not in ("url", "fallbackText")} <= own
        assert card["fallbackText"].startswith("Fusewatch: ")


@given(st.lists(st.sampled_from(["{", "}", "DATE(", "2017-02-14T06:08:39Z", ",SHORT)", "a"])).map("".join))
def test_braces_are_literal_and_never_a_function_of_the_renderer(text):
    message = one(alert([entry(finding(title=text))]))
    assert text in lines(message)
    assert not [node for node in nodes(message) if "{{" in str(node.get("text", ""))]


@given(
    st.lists(st.integers(0, 3), max_size=16),
    st.integers(0, 60),
    st.integers(0, 60),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_split_cards_keep_every_entry_exactly_once(lengths, counted, closed):
    shown = [worst(number, title="🚀" * (200 * length), team_note="") for number, length in enumerate(lengths)]
    subject = alert(shown, map(worst, range(counted)), map(worst, range(closed)))
    parts = built(subject)
    assert parts and complete(subject, parts)
    assert all(size(part.message) <= LIMIT for part in parts)


@pytest.mark.parametrize(("tier", "days", "words"), [(1, 0.5, "nearer to its end"), (0, -0.5, "has ended")])
def test_what_has_ended_is_not_nearer_to_its_end(tier, days, words):
    told = entry(finding(expires_on=after(days)), Reason.TIER, tier)
    (card,) = cards(alert([told]), coverage(), NOW, BY_ID, tenant_id=TENANT_ID, portal=PORTAL)
    assert f" · {words} · " in json.dumps(card.message, ensure_ascii=False)
