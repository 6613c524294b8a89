from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clients.rows import finding_of, finding_row
from shared.findings import (
    INCLUDED,
    Finding,
    FingerprintError,
    Notice,
    Observed,
    Reason,
    Status,
    called,
    evaluate,
    reconcile,
)
from shared.model import (
    TENANT,
    Application,
    DeletedApplication,
    ManagedCluster,
    Owner,
    ServicePrincipal,
    Severity,
    Snapshot,
    Subscription,
    Unread,
    covers,
)
from shared.rule import Hit, fingerprint
from shared.rules import BY_ID, RULES
from tests.builders import (
    NOW,
    OTHER_TENANT,
    SUBSCRIPTION,
    after,
    application,
    cluster,
    days,
    deleted,
    finding,
    rule_of,
    secret,
    service_principal,
    snapshot,
    unread,
)

NOTHING = Observed(findings=(), aged_out=frozenset(), undecided=frozenset())
HOME = f"/subscriptions/{SUBSCRIPTION}"
NOTICE = Notice(receiver="", reason=Reason.NEW, severity=Severity.WARNING, when=NOW)


def seen(*findings: Finding, aged_out=(), undecided=()):
    return Observed(findings=findings, aged_out=frozenset(aged_out), undecided=frozenset(undecided))


def settle(stored, observed, *records, rules=RULES, **changes):
    """The one finding that a reconciliation leaves."""
    (left,) = reconcile(stored, observed, snapshot(*records, **{"taken": after(1), **changes}), rules)
    return left


def expiry(**changes):
    return finding(**changes)


def missing(**changes):
    return finding(rule="aks_service_principal_missing", **changes)


def runs_on(**changes):
    return finding(rule="aks_service_principal_cluster", **changes)


def entra(path="/applications/1", **changes):
    return finding(rule="entra_credential_expiry", resource_id=path, **changes)


def blind(**changes):
    return finding(rule="scan_scope_unreadable", resource_id="/", **changes)


@pytest.mark.parametrize(
    ("stored", "gaps", "status"),
    [
        pytest.param(expiry(), [], "resolved", id="everything was read: it is gone"),
        pytest.param(expiry(), [unread(ManagedCluster)], "open", id="no cluster was read"),
        pytest.param(expiry(), [unread(ManagedCluster, HOME)], "open", id="its subscription was not read"),
        pytest.param(expiry(), [unread(ManagedCluster, HOME.upper())], "open", id="its subscription, in capitals"),
        pytest.param(expiry(), [unread(Subscription)], "open", id="the subscriptions could not be listed"),
        pytest.param(expiry(), [unread(Subscription, HOME)], "open", id="its subscription is in no listing"),
        pytest.param(
            expiry(), [unread(ManagedCluster, HOME[:-1])], "resolved", id="a subscription whose id begins alike"
        ),
        pytest.param(
            expiry(), [unread(ManagedCluster, f"/subscriptions/{OTHER_TENANT}")], "resolved", id="another subscription"
        ),
        pytest.param(expiry(), [unread(Application)], "open", id="a cluster's credentials were not read"),
        pytest.param(expiry(), [unread(ServicePrincipal)], "open", id="its service principal was not read"),
        pytest.param(
            expiry(), [unread(Application, "/applications/1")], "open", id="one application: it may be the cluster's"
        ),
        pytest.param(expiry(), [unread(Owner)], "resolved", id="owners say nothing of a credential"),
        pytest.param(expiry(), [unread(DeletedApplication)], "resolved", id="nor does the recycle bin"),
        pytest.param(runs_on(), [unread(Application)], "resolved", id="a rule that does not read applications"),
        pytest.param(runs_on(), [unread(ManagedCluster, HOME)], "open", id="a cluster rule without its cluster"),
        pytest.param(missing(), [unread(DeletedApplication)], "open", id="the recycle bin decides on what is missing"),
        pytest.param(missing(), [unread(Application, "/applications/1")], "open", id="absence needs every application"),
        pytest.param(missing(), [], "resolved", id="what was missing is back"),
        pytest.param(entra(), [], "resolved", id="the credential is gone"),
        pytest.param(entra(), [unread(Application)], "open", id="no application was read"),
        pytest.param(entra(), [unread(ServicePrincipal)], "open", id="part of Entra was not read"),
        pytest.param(entra(), [unread(Application, "/applications/1")], "open", id="this application was not read"),
        pytest.param(entra(), [unread(Application, "/applications/10")], "resolved", id="another application was not"),
        pytest.param(entra(), [unread(ManagedCluster)], "resolved", id="clusters say nothing of a credential"),
        pytest.param(blind(), [], "resolved", id="the source can be read again"),
        pytest.param(blind(), [unread(Application)], "resolved", id="this one is read, another is not"),
        pytest.param(finding(rule="from_the_future"), [], "open", id="a rule of another version"),
    ],
)
def test_what_is_not_seen_any_more(stored, gaps, status):
    left = settle([stored], NOTHING, *gaps)
    assert left.status == status
    assert left == stored or (left.resolved_at, left.changed, left.revision) == (after(1), after(1), 2)


@pytest.mark.parametrize(
    ("absence", "status"), [((ManagedCluster,), "open"), ((), "resolved")], ids=["of clusters", "of nothing"]
)
def test_a_rule_that_fires_on_absence_needs_all_of_what_it_looks_for(absence, status):
    rule = rule_of(absence=absence)
    gap = unread(ManagedCluster, f"/subscriptions/{OTHER_TENANT}")
    assert settle([finding(rule=rule.id)], NOTHING, gap, rules=[rule]).status == status


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.AGED_OUT])
def test_what_is_closed_stays_as_it_is(status):
    stored = expiry(status=status, resolved_at=NOW)
    assert settle([stored], NOTHING) is stored
    assert settle([stored], seen(aged_out=[stored.fingerprint])) is stored


def test_an_end_long_past_is_never_called_resolved():
    stored = expiry(announced=(NOTICE,))
    left = settle([stored], seen(aged_out=[stored.fingerprint]))
    assert (left.status, left.resolved_at, left.announced) == ("aged-out", after(1), (NOTICE,))


def test_what_could_not_be_decided_stays():
    stored = missing()
    assert settle([stored], seen(undecided=[stored.fingerprint])) is stored


def test_a_new_finding_is_kept_as_seen():
    assert settle([], seen(expiry())) == expiry()


def test_the_same_finding_again_needs_no_write():
    stored = expiry(announced=(NOTICE,), revision=7, etag="e", first_seen=after(-9), changed=after(-8))
    assert settle([stored], seen(expiry(first_seen=after(1), changed=after(1)))) is stored


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.CRITICAL},
        {"title": "worse"},
        {"expires_on": after(3)},
        {"superseded_on": after(400)},
        {"facts": {"x": "y"}},
        {"owners": ()},
        {"team": "WEB"},
        {"includes": ("a",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_finding_that_changed_keeps_its_story(change):
    stored = expiry(
        announced=(NOTICE,), revision=7, etag="e", first_seen=after(-9), changed=after(-8), not_before=after(-7)
    )
    left = settle([stored], seen(expiry(first_seen=after(1), changed=after(1), **change)))
    assert left == replace(stored, changed=after(1), revision=8, **change)
    assert left.etag == "e"


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.AGED_OUT])
def test_a_problem_that_comes_back_starts_anew(status):
    stored = expiry(
        status=status, announced=(NOTICE,), revision=7, etag="e", resolved_at=after(-1), first_seen=after(-9)
    )
    left = settle([stored], seen(expiry(first_seen=NOW)))
    assert left == expiry(first_seen=after(1), revision=8)
    assert left.etag == "e"


@pytest.mark.parametrize(
    ("gap", "kept"),
    [
        pytest.param(unread(Owner), True, id="Graph did not say who owns it"),
        pytest.param(unread(Owner, HOME), True, id="the tags of its subscription were not read"),
        pytest.param(unread(Owner, f"/subscriptions/{OTHER_TENANT}"), False, id="other tags were not read"),
        pytest.param(unread(Application), False, id="owners were read"),
    ],
)
def test_owners_that_could_not_be_read_do_not_move_a_finding_to_another_team(gap, kept):
    stored = expiry(team="WEB", team_note="a note")
    left = settle([stored], seen(expiry(owners=())), gap)
    assert (left.owners, left.team, left.team_note) == ((stored.owners, "WEB", "a note") if kept else ((), "", ""))


def test_a_new_finding_without_readable_owners_is_kept_without():
    assert settle([], seen(expiry(owners=())), unread(Owner)).owners == ()


def test_a_finding_that_comes_back_is_assigned_anew():
    stored = expiry(team="WEB", status=Status.RESOLVED)
    assert settle([stored], seen(expiry(owners=())), unread(Owner)).team == ""


def hit(key="k", **changes):
    return Hit(**{"resource_id": "/a/b", "resource_name": "b", "key": key, "title": "t", "facts": {}, **changes})


def judged(*found: Hit, gaps=(), **changes):
    return evaluate(snapshot(*gaps), [rule_of(check=lambda snapshot: iter(found), **changes)])


def test_a_hit_becomes_a_finding():
    (one,) = judged(hit(expires_on=after(3), superseded_on=after(9), variant="v", includes=("i",))).findings
    assert one == Finding(
        fingerprint=fingerprint("a_rule", "/a/b", "k"),
        rule="a_rule",
        severity=Severity.WARNING,
        resource_id="/a/b",
        resource_name="b",
        title="t",
        facts={},
        variant="v",
        expires_on=after(3),
        superseded_on=after(9),
        includes=("i",),
        first_seen=NOW,
        changed=NOW,
    )


def test_a_hit_may_have_a_severity_of_its_own():
    (one,) = judged(hit(severity=Severity.INFO)).findings
    assert one.severity is Severity.INFO


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_hits_under_one_name_the_worse_is_kept(order):
    both = [hit(), hit(severity=Severity.CRITICAL)][::order]
    assert [one.severity for one in judged(*both).findings] == [Severity.CRITICAL]


def test_what_aged_out_is_no_finding_unless_it_is_one_as_well():
    name = fingerprint("a_rule", "/a/b", "k")
    assert judged(hit(aged_out=True)) == seen(aged_out=[name])
    both = judged(hit(aged_out=True), hit())
    assert [one.fingerprint for one in both.findings] == [name] and not both.aged_out


@pytest.mark.parametrize(
    ("gap", "looked_in", "decided"),
    [
        pytest.param(unread(Application), TENANT, False, id="what it looked for was not read"),
        pytest.param(unread(Application, "/x"), TENANT, False, id="part of where it looked was not read"),
        pytest.param(unread(Application, TENANT), "/x", False, id="more than where it looked was not read"),
        pytest.param(unread(Application, "/y"), "/x", True, id="another place was not read"),
        pytest.param(unread(ManagedCluster), TENANT, True, id="another kind was not read"),
    ],
)
def test_nothing_unread_is_missing(gap, looked_in, decided):
    found = judged(hit(absent_in=looked_in), gaps=[gap], absence=(Application,))
    assert bool(found.findings) is decided
    assert found.undecided == (frozenset() if decided else {fingerprint("a_rule", "/a/b", "k")})


@pytest.mark.parametrize(
    ("scope", "path", "inside"),
    [
        ("/", "/anything", True),
        ("/subscriptions/1", "/subscriptions/1", True),
        ("/subscriptions/1", "/subscriptions/10", False),
        ("/subscriptions/1/", "/SUBSCRIPTIONS/1/x", True),
        ("/subscriptions/1/x", "/subscriptions/1", False),
    ],
)
def test_scopes_are_compared_by_segment(scope, path, inside):
    assert covers(scope, path) is inside


# Properties: arbitrary worlds of a few objects, so that they collide.

IDS = ("1", "10", "2")
GAPS = st.builds(
    Unread,
    kind=st.sampled_from([Application, ServicePrincipal, DeletedApplication, ManagedCluster, Subscription, Owner]),
    scope=st.sampled_from(
        [TENANT, *(f"/subscriptions/{one}" for one in IDS), *(f"/applications/{one}" for one in IDS)]
    ),
    reason=st.just("HTTP 503"),
    passing=st.booleans(),
)
ENDS = st.sampled_from([None, *map(after, (-400, -20, 0, 3, 40, 400))])
SECRETS = st.lists(ENDS, max_size=3).map(lambda ends: tuple(secret(end, number) for number, end in enumerate(ends)))
APPS = st.lists(
    st.builds(lambda one, secrets: application(*secrets, object_id=one, app_id=one), st.sampled_from(IDS), SECRETS),
    unique_by=lambda app: app.app_id,
)
PRINCIPALS = st.lists(
    st.builds(
        lambda one, secrets, enabled: service_principal(*secrets, object_id=one, app_id=one, enabled=enabled),
        st.sampled_from(IDS),
        SECRETS,
        st.booleans(),
    ),
    unique_by=lambda principal: principal.app_id,
)
CLUSTERS = st.lists(
    st.builds(
        lambda where, one: cluster(one, subscription_id=where), st.sampled_from(IDS), st.sampled_from(("", *IDS))
    ),
    unique_by=lambda one: one.id,
)
BINS = st.lists(st.sampled_from(IDS).map(lambda one: deleted(one, app_id=one)), max_size=2)


@st.composite
def worlds(draw) -> Snapshot:
    records = [*draw(APPS), *draw(PRINCIPALS), *draw(CLUSTERS), *draw(BINS), *draw(st.lists(GAPS, max_size=3))]
    return snapshot(*records, taken=NOW + days(draw(st.integers(0, 90))))


def story(*snapshots: Snapshot) -> tuple[Finding, ...]:
    """What is stored after these scans."""
    stored: tuple[Finding, ...] = ()
    for one in snapshots:
        stored = reconcile(stored, evaluate(one, RULES), one, RULES)
    return stored


@settings(max_examples=300)
@given(worlds(), worlds())
def test_nothing_unread_is_resolved(first, second):
    before = {one.fingerprint: one for one in story(first)}
    for one in reconcile(tuple(before.values()), evaluate(second, RULES), second, RULES):
        if one.status is Status.RESOLVED and before[one.fingerprint].open:
            reads = BY_ID[one.rule].reads
            assert not [gap for gap in second.unread if gap.kind in reads and covers(gap.scope, one.resource_id)], (
                "closed although what it is about was not read"
            )


@given(worlds(), worlds())
def test_reconciling_twice_changes_nothing_more(first, second):
    stored = story(first, second)
    again = reconcile(stored, evaluate(second, RULES), second, RULES)
    assert {one.fingerprint: one for one in again} == {one.fingerprint: one for one in stored}
    assert all(any(one is old for old in stored) for one in again)


@given(worlds(), worlds())
def test_a_finding_is_never_lost(first, second):
    stored = story(first)
    names = [one.fingerprint for one in story(first, second)]
    assert {one.fingerprint for one in (*stored, *evaluate(second, RULES).findings)} == set(names)
    assert len(set(names)) == len(names)


@given(worlds(), worlds())
def test_what_aged_out_is_never_called_resolved(first, second):
    for one in story(first, second):
        if one.fingerprint in evaluate(second, RULES).aged_out:
            assert one.status is Status.AGED_OUT or one.open


@given(worlds(), worlds())
def test_every_closed_finding_that_is_seen_again_begins_anew(first, second):
    closed = [replace(one, status=Status.RESOLVED, announced=(NOTICE,)) for one in story(first)]
    for one in reconcile(closed, evaluate(second, RULES), second, RULES):
        if one.open:
            assert (one.announced, one.first_seen) == ((), second.taken)


@given(worlds(), worlds())
def test_rows_of_an_unknown_rule_are_left_alone(first, second):
    foreign = [replace(one, rule="from_the_future") for one in story(first)]
    left = reconcile(foreign, NOTHING, second, RULES)
    assert list(left) == foreign


@given(worlds())
def test_what_entra_did_not_show_is_not_missing(world):
    gaps = {gap.kind for gap in world.unread} & {Application, ServicePrincipal, DeletedApplication}
    if gaps:
        assert not [one for one in evaluate(world, RULES).findings if one.rule == "aks_service_principal_missing"]


def test_a_finding_that_includes_more_than_its_row_holds_stays_the_same_from_scan_to_scan():
    many = tuple(f"{number:032x}" for number in range(2000))
    rule = rule_of(check=lambda _: iter([hit(includes=many)]))
    stored = ()
    for day in range(3):
        world = snapshot(taken=after(day))
        (one,) = reconcile(stored, evaluate(world, (rule,)), world, (rule,))
        stored = (finding_of({**finding_row("t", one), "RowKey": f"f-{one.fingerprint}"}),)
        assert (stored[0].includes, stored[0].changed, stored[0].revision) == (many[:INCLUDED], NOW, 1)


def test_a_finding_is_called_by_as_many_digits_as_tell_it_from_the_others():
    one, other = (replace(finding(), fingerprint=name * 8) for name in ("abcd", "abce"))
    assert called([one, other], " ABCD ") is one
    for beginning in ("f", ""):
        with pytest.raises(FingerprintError, match="no stored finding"):
            called([one, other], beginning)
    with pytest.raises(FingerprintError) as ambiguous:
        called([one, other] * 4, "abc")
    assert str(ambiguous.value).startswith("8 findings begin with 'abc', give more digits: abcdabcd")
    assert str(ambiguous.value).endswith("; and 3 more")
