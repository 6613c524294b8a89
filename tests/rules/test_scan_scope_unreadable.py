import pytest

from shared.findings import Status, evaluate, reconcile
from shared.model import (
    TENANT,
    Application,
    DeletedApplication,
    ManagedCluster,
    Owner,
    ServicePrincipal,
    Severity,
    Subscription,
)
from shared.rules import scan_scope_unreadable as rule
from tests.builders import cluster, hits, snapshot, subscription, unread

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
ONE, TWO = "/subscriptions/1", "/subscriptions/2"
BOTH = {"subscriptions": (subscription("1"), subscription("2"))}
PASSING = unread(ManagedCluster, ONE, reason="HTTP 503", passing=True)


def told(*records, **changes):
    return [(hit.key, hit.resource_id, hit.severity) for hit in hits(rule, *records, **changes)]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([unread(Application)], [("Microsoft Graph", "/", CRITICAL)], id="Graph refuses applications"),
        pytest.param(
            [unread(ServicePrincipal)], [("Microsoft Graph", "/", CRITICAL)], id="Graph refuses service principals"
        ),
        pytest.param(
            [unread(Application), unread(ServicePrincipal), unread(DeletedApplication)],
            [("Microsoft Graph", "/", CRITICAL)],
            id="Graph refuses everything: one finding",
        ),
        pytest.param([unread(ManagedCluster, ONE)], [("AKS clusters", ONE, WARNING)], id="one subscription of two"),
        pytest.param(
            [unread(ManagedCluster, ONE), unread(ManagedCluster, TWO)],
            [("AKS clusters", ONE, CRITICAL), ("AKS clusters", TWO, CRITICAL)],
            id="every subscription",
        ),
        pytest.param(
            [unread(ManagedCluster, ONE.upper()), unread(Subscription, TWO)],
            [("AKS clusters", ONE.upper(), CRITICAL), ("Azure subscriptions", TWO, CRITICAL)],
            id="every subscription, each in its own way",
        ),
        pytest.param(
            [unread(ManagedCluster, ONE), unread(ManagedCluster, TWO, passing=True)],
            [("AKS clusters", ONE, WARNING)],
            id="a fault that may pass does not make it every subscription",
        ),
        pytest.param([unread(Subscription)], [("Azure subscriptions", "/", CRITICAL)], id="no list of subscriptions"),
        pytest.param([unread(ManagedCluster)], [("AKS clusters", "/", CRITICAL)], id="no subscription is readable"),
        pytest.param([unread(Owner)], [("Owners", "/", WARNING)], id="owners are a lesser loss"),
        pytest.param([unread(dict, ONE)], [("dict", ONE, WARNING)], id="a kind without a name of its own"),
    ],
)
def test_a_refusal_is_told_at_once(records, expected):
    assert told(*records, **BOTH) == expected


def test_a_subscription_that_vanished_when_no_other_is_left():
    assert told(unread(ManagedCluster, ONE), subscriptions=()) == [("AKS clusters", ONE, CRITICAL)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(frozenset(), [], id="the first time"),
        pytest.param(frozenset({unread(ManagedCluster, TWO).key}), [], id="another scope failed before"),
        pytest.param(frozenset({unread(Owner, ONE).key}), [], id="another kind failed before"),
        pytest.param(frozenset({PASSING.key}), [("AKS clusters", ONE, WARNING)], id="the second time in a row"),
        pytest.param(
            frozenset({unread(ManagedCluster, ONE.upper()).key}),
            [("AKS clusters", ONE, WARNING)],
            id="the second time, its scope written otherwise",
        ),
    ],
)
def test_a_passing_fault_is_told_the_second_time(before, expected):
    assert told(PASSING, unread_before=before, **BOTH) == expected


def test_a_passing_fault_may_be_the_second_one_where_the_scan_before_could_not_name_all():
    assert told(PASSING, unread_unnamed=True, **BOTH) == [("AKS clusters", ONE, WARNING)]


def test_a_passing_fault_of_a_resource_is_one_of_its_subscription():
    one, two = (unread(ManagedCluster, f"{ONE}/x/{name}", reason="HTTP 503", passing=True) for name in "ab")
    assert told(one, unread_before=frozenset({two.key}), **BOTH) == [("AKS clusters", ONE, WARNING)]


def test_what_was_refused_and_now_fails_in_passing_is_not_resolved():
    stored = ()
    for world, status in (
        (snapshot(unread(ManagedCluster, ONE), **BOTH), Status.OPEN),
        (snapshot(PASSING, **BOTH), Status.OPEN),
        (snapshot(**BOTH), Status.RESOLVED),
    ):
        stored = reconcile(stored, evaluate(world, (rule,)), world, (rule,))
        assert [one.status for one in stored] == [status]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="everything was read"),
        pytest.param([cluster()], id="everything was read, and something found"),
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        pytest.param({}, id="as ever"),
        pytest.param({"unread_before": frozenset({PASSING.key})}, id="after a passing fault"),
        pytest.param({"unread_unnamed": True}, id="after a scan that could not name all"),
    ],
)
def test_silent_when_everything_was_read(records, before):
    assert told(*records, **before, **BOTH) == []


def failing(kind, scope=TENANT):
    return unread(kind, scope, reason="HTTP 503", passing=True)


@pytest.mark.parametrize(
    ("records", "before"),
    [
        pytest.param([failing(Application)], [], id="Graph fails once"),
        pytest.param([failing(Application)], [ServicePrincipal], id="other objects of Graph failed before"),
        pytest.param(
            [failing(Application), failing(ServicePrincipal)], [Owner], id="all of Graph fails, the owners did before"
        ),
        pytest.param([failing(Subscription)], [], id="the list of subscriptions fails once"),
        pytest.param([failing(Subscription)], [ManagedCluster], id="the clusters of all subscriptions failed before"),
        pytest.param([failing(ManagedCluster, ONE), failing(ManagedCluster, TWO)], [], id="every subscription fails"),
        pytest.param([failing(Subscription, ONE), failing(Subscription, TWO)], [Owner], id="each in its own way"),
        pytest.param([failing(Owner)], [Application], id="owners fail, applications did before"),
        pytest.param([failing(dict, ONE)], [], id="a kind without a name of its own"),
    ],
)
def test_silent_about_a_passing_fault_of_another_kind_than_before(records, before):
    assert told(*records, unread_before=frozenset(unread(kind).key for kind in before), **BOTH) == []


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param("/", id="the tenant"),
        pytest.param("/subscriptions/10", id="a subscription whose id begins the same"),
        pytest.param(f"{TWO}/resourceGroups/1", id="a group of another one"),
        pytest.param("/providers/Microsoft.Management/managementGroups/1", id="a management group"),
    ],
)
def test_silent_about_a_passing_fault_of_another_place_than_before(scope):
    assert told(PASSING, unread_before=frozenset({unread(ManagedCluster, scope).key}), **BOTH) == []


def test_silent_once_what_was_refused_is_read_in_full():
    stored = ()
    for records in ([unread(Application), unread(ManagedCluster, ONE)], [unread(ManagedCluster, ONE)], []):
        world = snapshot(*records, **BOTH)
        stored = reconcile(stored, evaluate(world, (rule,)), world, (rule,))
        assert sum(one.open for one in stored) == len(records)
    assert {one.status for one in stored} == {Status.RESOLVED}


@pytest.mark.parametrize(
    ("records", "title"),
    [
        (
            [unread(Application, permission="Application.Read.All"), unread(ServicePrincipal, reason="HTTP 503")],
            "Microsoft Graph could not be read in full: HTTP 503; it needs Application.Read.All",
        ),
        (
            [unread(ManagedCluster, ONE, permission="Reader")],
            "AKS clusters of /subscriptions/1 could not be read in full: it needs Reader",
        ),
    ],
)
def test_the_title_names_the_permission_or_the_fault(records, title):
    assert [hit.title for hit in hits(rule, *records, **BOTH)] == [title]


def test_facts():
    (hit,) = hits(rule, unread(Application, permission="P"), unread(ServicePrincipal, permission="P", reason="no"))
    assert hit.facts == {
        "source": "Microsoft Graph",
        "kinds": ["Application", "ServicePrincipal"],
        "reasons": ["HTTP 403", "no"],
        "permissions": ["P"],
    }
    assert hit.resource_name == "the tenant"
