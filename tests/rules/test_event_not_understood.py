from shared.findings import evaluate, reconcile
from shared.model import Aside, EventSubscription, Severity
from shared.rules.event_not_understood import event_not_understood
from tests.builders import after, cluster, hits, snapshot, unread

RULE = (event_not_understood,)


def aside(*problems):
    return {"aside": tuple(Aside(received=after(-1), problem=problem) for problem in problems)}


def test_one_event():
    (hit,) = hits(event_not_understood, **aside("it has no data"))
    assert hit.title == "1 event could not be understood: it has no data"
    assert event_not_understood.severity is Severity.WARNING


def test_many_are_one_problem_that_names_three_reasons():
    (hit,) = hits(event_not_understood, **aside(*("abcd" * 500)))
    assert hit.title == "2,000 events could not be understood: a; b; c"
    assert hit.facts["reasons"] == ["a", "b", "c", "d"]
    (other,) = hits(event_not_understood, **aside("another"))
    assert (hit.resource_id, hit.key) == (other.resource_id, other.key)


def test_silent_without_any():
    assert hits(event_not_understood, cluster()) == []


def test_silent_where_nothing_is_known_of_events():
    assert hits(event_not_understood, unread(EventSubscription)) == []


def test_silent_about_events_that_go_to_another_app():
    others = EventSubscription(id="/subscriptions/1/other", function_id="/sites/other/functions/x", state="Failed")
    assert hits(event_not_understood, event_subscriptions=(others,)) == []


def test_one_that_is_dealt_with_is_not_counted_any_more():
    world = snapshot(**aside("it has no data", "it has no id"))
    found = reconcile((), evaluate(world, RULE), world, RULE)
    half = snapshot(taken=after(1), **aside("it has no id"))
    (left,) = reconcile(found, evaluate(half, RULE), half, RULE)
    assert (left.open, left.title) == (True, "1 event could not be understood: it has no id")


def test_it_is_resolved_when_they_are_dealt_with_whatever_else_cannot_be_read():
    world = snapshot(**aside("it has no data"))
    found = reconcile((), evaluate(world, RULE), world, RULE)
    after_that = snapshot(taken=after(1))
    assert [one.open for one in reconcile(found, evaluate(after_that, RULE), after_that, RULE)] == [False]
