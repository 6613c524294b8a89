from shared.model import Refusal
from shared.rule import command
from shared.rules.receiver_refused import receiver_refused
from tests.builders import after, cluster, hits


def refusal(receiver="WEB", **changes):
    return Refusal(**{"receiver": receiver, "reason": "it answered HTTP 410", "since": after(-2), **changes})


def test_a_team_that_refuses():
    (hit,) = hits(receiver_refused, refusal())
    assert hit.title == "The channel of team WEB has refused cards since Sat 21 Nov 2026: it answered HTTP 410"
    assert hit.resource_id == "/receivers/WEB"
    assert command(receiver_refused.runbook().fix, hit.facts) == "python -m shared webhook-test --team WEB"


def test_the_fallback_that_refuses():
    (hit,) = hits(receiver_refused, refusal(""))
    assert "the fallback" in hit.title
    assert command(receiver_refused.runbook().fix, hit.facts) == "python -m shared webhook-test"


def test_another_reason_is_the_same_problem():
    first, second = (hits(receiver_refused, refusal(reason=reason))[0] for reason in ("HTTP 410", "HTTP 404"))
    assert (first.resource_id, first.key) == (second.resource_id, second.key)


def test_silent_when_nobody_refuses():
    assert hits(receiver_refused, cluster()) == []
