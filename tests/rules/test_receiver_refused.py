from shared.findings import Status, evaluate, reconcile
from shared.model import ManagedCluster, Refusal
from shared.rule import command
from shared.rules.receiver_refused import receiver_refused
from tests.builders import after, cluster, hits, problems, snapshot, unread

RULE = (receiver_refused,)


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


def test_silent_when_only_reading_was_refused():
    assert hits(receiver_refused, unread(ManagedCluster)) == []


def test_silent_and_resolved_once_the_receiver_takes_a_card():
    world = snapshot(refusal())
    found = reconcile((), evaluate(world, RULE), world, RULE)
    mended = snapshot(taken=after(1))
    assert problems(receiver_refused, mended) == []
    assert [one.status for one in reconcile(found, evaluate(mended, RULE), mended, RULE)] == [Status.RESOLVED]


def test_what_another_receiver_refuses_keeps_no_refusal_open_that_passed():
    world = snapshot(refusal("WEB"), refusal("SHOP"))
    found = reconcile((), evaluate(world, RULE), world, RULE)
    half = snapshot(refusal("SHOP"), taken=after(1))
    statuses = {one.resource_id: one.status for one in reconcile(found, evaluate(half, RULE), half, RULE)}
    assert statuses == {"/receivers/WEB": Status.RESOLVED, "/receivers/SHOP": Status.OPEN}
