import pytest

from shared.findings import evaluate, reconcile
from shared.model import EventSubscription, Severity
from shared.rules import subscription_not_wired as rule
from tests.builders import problems, unread
from tests.catalogue import APP_ID, cluster, scan
from tests.estate import S

TOPIC = f"{S}/resourceGroups/fusewatch/providers/Microsoft.EventGrid/systemTopics/t/eventSubscriptions/e"


def to(function_id: str = f"{APP_ID}/functions/on_role_change", **changes) -> EventSubscription:
    return EventSubscription(**{"id": TOPIC, "function_id": function_id, "state": "Succeeded", **changes})


def world(*subscribed, **changes):
    return scan(**{"function_app_id": APP_ID, "event_subscriptions": subscribed, **changes})


@pytest.mark.parametrize(
    "subscribed",
    [
        pytest.param([], id="no event subscription"),
        pytest.param([to("")], id="one to something else"),
        pytest.param([to(f"{APP_ID}-2/functions/on_role_change")], id="one to an app whose name begins the same"),
        pytest.param([to(state="Failed")], id="one that failed"),
        pytest.param([to(id=TOPIC.replace("1111", "2222"))], id="one of another subscription"),
    ],
)
def test_a_subscription_with_clusters_that_does_not_report_is_info(subscribed):
    (hit,) = problems(rule, world(*subscribed))
    assert (hit.resource_id, rule.severity) == (S, Severity.INFO)


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(world(to()), id="wired"),
        pytest.param(world(to(f"{APP_ID}/functions/on_role_change".upper(), id=TOPIC.upper())), id="in upper case"),
        pytest.param(world(to(""), to()), id="wired beside another one"),
        pytest.param(world(to(state="Updating")), id="being updated"),
        pytest.param(world(function_app_id=""), id="the settings do not name this app"),
        pytest.param(scan(cluster(subscription_id="9"), function_app_id=APP_ID), id="clusters elsewhere"),
        pytest.param(scan(function_app_id=APP_ID, clusters=()), id="no cluster at all"),
    ],
)
def test_otherwise_it_is_silent(quiet):
    assert problems(rule, quiet) == []


def test_what_could_not_be_read_is_not_missing():
    stored = reconcile((), evaluate(world(), [rule]), world(), [rule])
    assert len(stored) == 1
    blind = world(unread=[unread(EventSubscription, S)])
    assert evaluate(blind, [rule]).findings == ()
    assert all(one.open for one in reconcile(stored, evaluate(blind, [rule]), blind, [rule]))
    elsewhere = world(unread=[unread(EventSubscription, "/subscriptions/9")])
    assert len(evaluate(elsewhere, [rule]).findings) == 1
    assert not any(one.open for one in reconcile(stored, evaluate(world(to()), [rule]), world(to()), [rule]))
