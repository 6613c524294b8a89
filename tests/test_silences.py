"""Silences: what they mute, which may be, and what is announced when they end."""

from dataclasses import replace

import pytest

from shared.alerts import FALLBACK, Policy, due, entries, reason, told
from shared.findings import Notice, Reason, Status
from shared.model import Severity
from shared.silences import LONGEST, ended, muting, problem, silence, silenced
from tests.builders import NOW, SUBSCRIPTION, after, days, entry, finding

PREFIX = f"/subscriptions/{SUBSCRIPTION}"


def made(since=after(-1), until=after(1), by="ada", comment="converted on Friday", **matcher):
    return silence(since=since, until=until, by=by, comment=comment, **(matcher or {"prefix": PREFIX}))


def policy(*silences, **changes):
    return Policy(silences=silences, **changes)


def notice(when=after(-3), **changes):
    fields = {"reason": Reason.NEW, "severity": Severity.WARNING, "tier": 14, "expires_on": after(10)}
    return Notice(receiver=FALLBACK, when=when, **{**fields, **changes})


@pytest.mark.parametrize(
    ("matcher", "matches"),
    [
        ({"fingerprint": finding().fingerprint}, True),
        ({"fingerprint": finding("other").fingerprint}, False),
        ({"rule": "aks_service_principal_expiry"}, True),
        ({"rule": "aks_service_principal"}, False),
        ({"prefix": PREFIX}, True),
        ({"prefix": PREFIX.upper() + "/"}, True),
        ({"prefix": f"{PREFIX}/resourcegroups/SHOP"}, True),
        ({"prefix": f"{PREFIX}/resourceGroups/sho"}, False),
        ({"prefix": PREFIX[:-1]}, False),
        ({"prefix": finding().resource_id}, True),
        ({"prefix": finding().resource_id + "/agentPools/web"}, False),
    ],
)
def test_what_it_matches(matcher, matches):
    one = made(**matcher)
    assert problem(one) == ""
    assert one.matches(finding()) is matches
    assert bool(silenced(finding(), NOW, (one,))) is matches


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prefix": "/"}, "two segments"),
        ({"prefix": "/subscriptions"}, "two segments"),
        ({"prefix": "/subscriptions/"}, "two segments"),
        ({"prefix": "/subscriptions//"}, "two segments"),
        ({"prefix": "/subscriptions// "}, "two segments"),
        ({"prefix": "//x"}, "two segments"),
        ({"prefix": "subscriptions/1"}, "two segments"),
        ({"prefix": "/applications"}, "two segments"),
        ({"prefix": "*"}, "two segments"),
        ({"fingerprint": "f" * 31}, "32 hex"),
        ({"fingerprint": "*"}, "32 hex"),
        ({"rule": "*"}, "no rule"),
        ({"rule": "aks"}, "no rule"),
        ({"rule": "aks_x", "prefix": PREFIX}, "exactly one"),
        ({"rule": ""}, "exactly one"),
        ({"until": after(-1)}, "end lies before"),
        ({"until": after(-2)}, "end lies before"),
        ({"since": NOW, "until": NOW + LONGEST + days(0.001)}, "365 days"),
        ({"by": " "}, "author"),
        ({"comment": ""}, "comment"),
        ({"comment": "x" * 501}, "comment"),
    ],
)
def test_what_may_not_be(changes, said):
    assert said in problem(
        made(**changes, **({} if {"prefix", "rule", "fingerprint"} & changes.keys() else {"prefix": PREFIX}))
    )


def test_its_ends_are_its_beginning_and_not_its_end():
    one = made(since=NOW, until=after(1))
    assert not one.active(NOW - days(0.001))
    assert one.active(NOW)
    assert not one.active(after(1))
    assert ended(finding(), after(1), (one,)) == after(1)
    assert ended(finding(), after(0.9), (one,)) is None


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(finding(), id="a new one"),
        pytest.param(finding(announced=(notice(tier=30),)), id="in its next tier"),
        pytest.param(finding(announced=(notice(),), severity=Severity.CRITICAL), id="whose severity rises"),
        pytest.param(
            finding(announced=(notice(after(-8), severity=Severity.CRITICAL),), severity=Severity.CRITICAL),
            id="that would be repeated",
        ),
    ],
)
def test_a_finding_under_a_silence_is_not_announced_and_not_due(subject):
    assert reason(subject, FALLBACK, NOW, policy()) is not Reason.NONE
    muted = policy(made())
    assert reason(subject, FALLBACK, NOW, muted) is Reason.NONE
    assert reason(subject, FALLBACK, NOW, muted, standby=True) is Reason.NONE
    assert not due((subject,), NOW, muted)
    assert len(muting((subject,), NOW, muted.silences)) == 1


def test_its_end_is_announced_once():
    muted = policy(made())
    subject = finding(first_seen=after(-0.5))
    for moment, expected in ((NOW, Reason.NONE), (after(1), Reason.SILENCE_ENDED)):
        assert reason(subject, FALLBACK, moment, muted) is expected
    subject = told(entry(subject, Reason.SILENCE_ENDED), FALLBACK, after(1), counted=False)
    assert reason(subject, FALLBACK, after(1.1), muted) is Reason.NONE


def test_what_appeared_after_its_end_is_simply_new():
    assert reason(finding(first_seen=after(2)), FALLBACK, after(2), policy(made())) is Reason.NEW


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param({"announced": (notice(after(-2)),)}, "none", id="told in this tier before the silence"),
        pytest.param({"announced": (notice(after(-2), tier=30),)}, "nearer", id="a tier was reached under it"),
        pytest.param(
            {"announced": (notice(after(-2)),), "severity": Severity.CRITICAL}, "raised", id="it got worse under it"
        ),
        pytest.param(
            {"announced": (notice(after(-2), tier=None, expires_on=None),), "expires_on": None},
            "none",
            id="without an end, told shortly before",
        ),
        pytest.param(
            {"announced": (notice(after(-6), tier=None, expires_on=None),), "expires_on": None},
            "silence-ended",
            id="without an end, told a week before: nothing else would say that it still stands",
        ),
        pytest.param({"announced": (notice(after(-6)),)}, "none", id="its next tier says that it still stands"),
    ],
)
def test_what_its_end_announces(subject, expected):
    one = policy(made(until=after(1)))
    assert reason(finding(first_seen=after(-20), **subject), FALLBACK, after(1), one) == expected


def test_another_silence_that_lasts_still_mutes():
    over, lasting = made(), made(until=after(5), comment="and longer")
    assert reason(finding(), FALLBACK, after(2), policy(over, lasting)) is Reason.NONE
    assert silenced(finding(), NOW, (over, lasting)) is lasting


def test_a_resolution_under_a_silence_goes_to_who_knew():
    over = {"status": Status.RESOLVED, "resolved_at": NOW}
    muted = policy(made())
    assert reason(finding(announced=(notice(),), **over), FALLBACK, NOW, muted) is Reason.RESOLVED
    assert reason(finding(**over), FALLBACK, NOW, muted) is Reason.NONE
    assert len(muting((finding(**over),), NOW, muted.silences)) == 0


def test_a_silenced_finding_still_covers_what_it_includes():
    inner = finding("inner", resource_id="/applications/1")
    outer = finding("outer", includes=(inner.fingerprint,))
    muted = policy(made())
    assert not due((outer, inner), NOW, muted)
    assert set(due((replace(outer, includes=()), inner), NOW, muted)) == {inner.fingerprint}


def test_what_a_silenced_finding_includes_counts_as_silenced():
    inner = finding("inner", resource_id="/applications/1")
    outer = finding("outer", includes=(inner.fingerprint,))
    mute = (made(fingerprint=outer.fingerprint),)
    assert len(muting((outer, inner), NOW, mute)) == 2
    assert len(muting((outer, replace(inner, status=Status.RESOLVED, resolved_at=NOW)), NOW, mute)) == 1


def test_equal_words_give_an_equal_id_and_others_another():
    assert made().id == made().id
    assert made().id != made(comment="something else").id
    assert not entries((), FALLBACK, NOW, policy(made()), {})


def test_without_a_silence_nothing_is_muted():
    assert muting([finding()], NOW, []) == {}
