"""The weekly card: when it comes, what it says, and how Microsoft's renderer shows it."""

from datetime import timedelta

import pytest

from shared.card import Coverage
from shared.elements import size
from shared.heartbeat import WEEK, Heartbeat, following, heartbeat_card
from shared.model import Severity
from shared.silences import silence
from shared.text import visible
from tests.builders import NOW, TENANT_ID, after, coverage, finding
from tests.rendering import Browser
from tests.test_card import HOSTILE, content, schema_errors
from tests.test_card_browser import clean

INFO, WARNING, CRITICAL = Severity


def muting(until, comment="converted on Friday", **changes):
    return silence(since=after(-1), until=until, by="ada", comment=comment, **(changes or {"rule": "aks_x"}))


def card(*findings, silences=(), now=NOW, **changes):
    beat = Heartbeat(coverage=coverage(**changes), tenant_id=TENANT_ID, findings=findings, silences=silences)
    return heartbeat_card(beat, now)


def lines(message):
    """A line a paragraph."""
    found = []

    def walk(node):
        if isinstance(node, dict):
            if node.get("type") == "RichTextBlock":
                found.append("".join(run["text"] for run in node["inlines"]))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(message)
    return found


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-23T07:59:59", "2026-11-23T08:00"),
        ("2026-11-23T08:00:00", "2026-11-30T08:00"),
        ("2026-11-25T12:00:00", "2026-11-30T08:00"),
        ("2020-01-01T00:00:00", "2020-01-06T08:00"),
    ],
)
def test_it_comes_on_mondays(now, expected):
    moment = NOW.fromisoformat(now).replace(tzinfo=NOW.tzinfo)
    assert following(moment) == NOW.fromisoformat(expected).replace(tzinfo=NOW.tzinfo)
    assert following(moment).weekday() == 0
    assert timedelta() < following(moment) - moment <= WEEK


def test_a_calm_week():
    assert lines(card()) == [
        "Fusewatch: still watching",
        f"Weekly · tenant {TENANT_ID}",
        "Watched",
        "3 subscriptions, 7 clusters, 1,204 applications, 2,210 service principals",
        "Open",
        "no finding",
        "Ends next",
        "nothing within the notice window",
        "Not seen",
        "nothing was left unread",
        "Scan of 2026-11-23 06:00 UTC read 3 subscriptions, 7 clusters, 1,204 applications, 2,210 service principals; "
        "nothing was left unread.",
    ]
    assert content(card())["body"][0]["style"] == "good"


def test_a_week_with_everything():
    findings = [finding(str(number), expires_on=after(20 - number)) for number in range(7)]
    findings += [
        finding("ended", expires_on=after(-1), severity=CRITICAL),
        finding("replaced", expires_on=after(1), superseded_on=after(400), severity=INFO),
    ]
    silences = (muting(after(3)), muting(after(15)), muting(after(-0.5)), muting(after(2), rule="aks_y"))
    shown = lines(card(*findings, silences=silences, silenced=2, unread=("Owner: HTTP 403",)))
    assert shown[shown.index("Open") + 1] == "1 critical, 7 warnings, 1 info; 2 of them silenced"
    ending = shown[shown.index("Ends next") + 1 : shown.index("Not seen")]
    assert ending[0] == "Mon 7 Dec 2026, in 14 days: Cluster prod-weu loses its sign-in to Azure on Thu 3 Dec 2026"
    assert ending[5] == "… and 2 more"
    assert shown[shown.index("Not seen") + 1] == "Owner: HTTP 403"
    assert shown[shown.index("Silences that end soon") + 1 : -1] == [
        "Wed 25 Nov 2026: rule aks_y, by ada: converted on Friday",
        "Thu 26 Nov 2026: rule aks_x, by ada: converted on Friday",
    ]
    assert "2 silenced" in shown[-1]
    assert content(card(*findings, unread=("x",)))["body"][0]["style"] == "warning"


@pytest.mark.parametrize(
    ("finished", "said"),
    [
        (after(-1.9), "still watching"),
        (after(-3), "no scan has finished for 3 days"),
        (None, "no scan has finished yet"),
    ],
)
def test_a_dead_scan_is_not_called_watching(finished, said):
    message = card(finished=finished)
    assert lines(message)[0] == f"Fusewatch: {said}"
    assert content(message)["body"][0]["style"] == ("good" if said == "still watching" else "attention")


def test_it_fits_and_is_valid_however_long_the_texts_are():
    findings = [finding(str(number), title="<" * 5000, expires_on=after(number + 1)) for number in range(50)]
    silences = [muting(after(1), comment="{{DATE(2026)}}" * 35, rule=f"aks_{number}") for number in range(50)]
    message = card(*findings, silences=silences, unread=tuple("\u202e" * 900 for _ in range(50)))
    assert size(message) <= 24_000
    assert schema_errors(message) == []
    assert (
        schema_errors(heartbeat_card(Heartbeat(coverage=Coverage(), tenant_id="", findings=(), silences=()), NOW)) == []
    )


def test_in_a_browser_hostile_texts_are_literal(tmp_path):
    browser = Browser(tmp_path)
    findings = [finding(str(number), title=text) for number, text in enumerate(HOSTILE[:5])]
    silences = [muting(after(3), comment=text) for text in HOSTILE[:5] if text.strip()]
    messages = [card(), card(*findings, silences=silences, unread=tuple(HOSTILE[:5]), silenced=3)]
    page = clean(browser.render(messages))
    assert "Fusewatch: still watching" in page.texts
    for text in HOSTILE[:5]:
        assert f"Thu 3 Dec 2026, in 10 days: {visible(text, 150)}" in page.texts
    browser.screenshot(messages, "heartbeat")
