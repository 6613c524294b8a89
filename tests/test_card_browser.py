"""What Microsoft's renderer, in a browser, makes of the cards; look at the pictures with `--basetemp=build/cards`."""

from dataclasses import replace

import pytest

from shared.card import greeting
from shared.findings import Reason, evaluate
from shared.model import Application, ManagedCluster, Owner, Severity
from shared.rules import RULES
from shared.text import visible
from tests.builders import (
    NOW,
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
from tests.rendering import Browser
from tests.test_card import HOSTILE, PORTAL, built, chosen, worst

OWNERS = (Owner(object_id="1", name="Ada Lovelace", mail="ada@shop.example"), Owner(name="web-platform"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    return Browser(tmp_path_factory.mktemp("cards"))


def found(*records, **changes):
    return [replace(one, owners=OWNERS) for one in evaluate(snapshot(*records, **changes), RULES).findings]


def messages(subject, *args, **changes):
    return [part.message for part in built(subject, *args, **changes)]


def story():
    """A cluster that ends in five days, a SAML certificate, a deleted principal, and what is over."""
    behind = application(secret_ends=[after(5)]), service_principal()
    elsewhere = service_principal(*saml(after(25)), app_id="55555555-5555-4555-8555-555555555555", name="Payroll SSO")
    other = "66666666-6666-4666-8666-666666666666"
    gone = cluster(client_id=other, name="batch-neu"), deleted(app_id=other, object_id=other)
    problems = [one for one in found(cluster(), *behind, elsewhere, *gone) if one.severity > Severity.INFO]
    told = [one for one in problems if one.rule != "entra_credential_expiry" or "Payroll" in one.title]
    reasons = [Reason.RAISED, Reason.NEW, Reason.TIER]
    closed = [
        entry(
            finding("a", title="Secret “ci” of Checkout API ends on Tue 1 Dec 2026", superseded_on=after(400)),
            Reason.REPLACED,
        ),
        entry(finding("b", title="Cluster test-weu loses its sign-in to Azure on Sat 5 Dec 2026"), Reason.RESOLVED),
    ]
    return alert([entry(one, reason) for one, reason in zip(told, reasons, strict=True)], closed=closed)


def clean(page):
    assert page.errors == []
    assert page.title == "card"
    assert page.links == []
    # Nothing that could run, load or ask: only boxes, text, and our buttons.
    assert set(page.tags) <= {"div", "span", "button", "p"}
    assert page.wide == 0
    return page


def test_the_story_of_a_cluster(browser):
    page = clean(browser.render(messages(story())))
    assert "Fusewatch: 2 critical, 1 warning" in page.texts
    assert "Cluster prod-weu loses its sign-in to Azure on Sat 28 Nov 2026" in page.texts
    assert page.buttons == ["Open in the Azure portal"] * 3
    browser.screenshot(messages(story()), "story")
    browser.screenshot(messages(story()), "story-on-a-phone", width=380)


def test_every_rule(browser):
    behind = application(secret_ends=[after(9), after(300)]), service_principal(certificate(after(20)), secret(None))
    problems = found(cluster(), *behind)
    blind = found(unread(Application, permission="Application.Read.All"), unread(ManagedCluster, "/subscriptions/1"))
    subject = alert(map(entry, (*problems, *blind)), counted=[entry()] * 30)
    seen = coverage(unread=("Application: HTTP 403, it needs Application.Read.All",))
    page = clean(browser.render(messages(subject, seen, note="The receiver of team WEB refuses cards.")))
    assert any("NOT read: Application: HTTP 403, it needs Application.Read.All" in text for text in page.texts)
    browser.screenshot(messages(subject, seen, note="The receiver of team WEB refuses cards."), "every-rule")


@pytest.mark.parametrize("width", [720, 380])
def test_hostile_names_are_literal(browser, width):
    shown = [entry(chosen(text)) for text in HOSTILE[:6]], [entry(chosen(text)) for text in HOSTILE[6:]]
    closed = [entry(chosen(text), Reason.RESOLVED) for text in HOSTILE]
    cards = [*messages(alert(shown[0], closed=closed)), *messages(alert(shown[1]), coverage(unread=tuple(HOSTILE)))]
    page = clean(browser.render(cards, width))
    for text in HOSTILE:
        assert f"Secret “{visible(text)}” of {visible(text)} ends" in page.texts
        assert f"✓ Secret “{visible(text)}” of {visible(text)} ends: resolved" in page.texts
    assert all(button == "Open in the Azure portal" for button in page.buttons)
    browser.screenshot(cards, f"hostile-{width}", width)


def test_the_largest_cards(browser):
    cards = messages(alert(map(worst, range(12)), closed=map(worst, range(50))))
    clean(browser.render(cards))


def test_a_greeting(browser):
    page = clean(browser.render([greeting(NOW)]))
    assert page.texts == ["Fusewatch reaches this channel. Test card of 2026-11-23 06:00 UTC; nothing is wrong."]


def test_this_page_would_show_what_went_wrong(browser):
    # The same texts in elements that know markup: were they used, the tests above would fail.
    body = [
        {"type": "TextBlock", "text": HOSTILE[0]},
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": HOSTILE[8]}]},
    ]
    broken = {
        "attachments": [{"content": {"type": "AdaptiveCard", "version": "1.5", "body": [*body, {"type": "Nonsense"}]}}]
    }
    page = browser.render([broken])
    assert page.links == ["https://evil.example/"]
    assert HOSTILE[8] not in page.texts
    assert page.errors
    assert PORTAL not in "".join(page.texts)
