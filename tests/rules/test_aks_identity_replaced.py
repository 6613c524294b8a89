import pytest

from shared.model import Severity
from shared.rules import aks_identity_replaced as rule
from tests.builders import NOW, SP_OBJECT, after, problems, service_principal
from tests.catalogue import (
    NEW_CONTROL,
    NEW_KUBELET,
    converted,
    on_principal,
    rebuilt,
    remembered,
    replaced,
    row,
    scan,
)
from tests.estate import CONTROL_ID, GROUP, KUBELET_ID, NODES, REGISTRY, SUBNET, S, assignment
from tests.estate import cluster as brought

PULL = ("AcrPull", REGISTRY, NEW_KUBELET)
JOIN = ("Network Contributor", SUBNET, NEW_CONTROL)
MANAGE = ("Contributor", NODES, NEW_CONTROL)


def whole(*without):
    return [assignment(*one) for one in (PULL, JOIN, MANAGE) if one not in without]


def doubts(world):
    return [hit for hit in rule.check(world) if hit.doubt]


def test_a_rebuilt_cluster_is_reported_with_the_grants_it_lost():
    control, kubelet = problems(rule, replaced(*whole(PULL, JOIN)))
    assert rule.severity is Severity.CRITICAL
    assert control.severity is kubelet.severity is None
    assert (control.key, kubelet.key) == (CONTROL_ID, KUBELET_ID)
    assert "Network Contributor on nodes" in control.title and "AcrPull on acme" in kubelet.title
    assert (control.facts["lost_principal"], control.facts["lost_scope"]) == (NEW_CONTROL, SUBNET)
    assert (kubelet.facts["lost_principal"], kubelet.facts["principal_id"]) == (NEW_KUBELET, NEW_KUBELET)
    assert any(f"--assignee-object-id {NEW_KUBELET}" in line for line in kubelet.facts["evidence"])
    assert control.lost_at == NOW


def test_each_missing_grant_comes_with_its_command():
    more = [row(assignment("Reader", S, CONTROL_ID)), row(assignment(*("Network Contributor", SUBNET, CONTROL_ID)))]
    (hit,) = problems(rule, replaced(*whole(JOIN), baseline=more))
    assert sum("az role assignment create" in line for line in hit.facts["evidence"]) == 2
    assert set(hit.facts["targets"]) == {S, SUBNET}


@pytest.mark.parametrize(("number", "unnamed"), [(19, 0), (20, 1), (22, 3)])
def test_a_hit_names_twenty_grants_and_counts_the_others(number, unnamed):
    more = [row(assignment("Reader", f"{S}/resourceGroups/g{one}", CONTROL_ID)) for one in range(number)]
    (hit,) = problems(rule, replaced(*whole(JOIN), baseline=[*more, row(assignment(*JOIN[:2], CONTROL_ID))]))
    *_, last = hit.facts["evidence"]
    assert sum("az role assignment create" in line for line in hit.facts["evidence"]) == 20
    assert (last == f"… and {unnamed} more.") == bool(unnamed)


def test_what_the_new_identity_holds_by_any_other_grant_is_not_lost():
    group = assignment("AcrPull", S, GROUP, principal_type="Group")
    world = replaced(*whole(PULL), group, groups={NEW_KUBELET: [GROUP]})
    assert problems(rule, world) == [] and doubts(world) == []


def test_the_same_role_at_a_narrower_scope_is_less():
    narrow = [assignment("Reader", SUBNET, NEW_CONTROL)]
    assert len(problems(rule, replaced(*whole(), *narrow, baseline=[row(assignment("Reader", S, CONTROL_ID))]))) == 1


def test_a_condition_that_was_not_there_before_is_less():
    held = [assignment(*PULL, condition="@x"), *whole(PULL)]
    assert len(problems(rule, replaced(*held))) == 1


@pytest.mark.parametrize("lost", [None, after(-3)])
def test_it_is_lost_whether_or_not_the_old_assignment_is_still_there(lost):
    old = [row(assignment("AcrPull", REGISTRY, KUBELET_ID), lost=lost)]
    assert len(problems(rule, replaced(*whole(PULL), baseline=old))) == 1


def test_what_a_group_gave_the_old_identity_counts():
    through = row(assignment("AcrPull", REGISTRY, GROUP, principal_type="Group"), via=[KUBELET_ID])
    assert len(problems(rule, replaced(baseline=[through]))) == 1


@pytest.mark.parametrize(
    ("seen", "number"),
    [pytest.param(NOW, 1, id="seen with the change"), pytest.param(after(0.001), 0, id="given to the old one later")],
)
def test_what_the_old_one_was_given_after_the_change_is_its_own(seen, number):
    old = [row(assignment("AcrPull", REGISTRY, KUBELET_ID), seen=seen)]
    assert len(problems(rule, replaced(baseline=old))) == number


def test_a_cluster_that_lacks_nothing_is_silent():
    assert problems(rule, replaced(*whole())) == []


def test_a_cluster_that_nothing_was_known_of_is_silent():
    assert problems(rule, replaced(before=None)) == []


def test_the_same_identity_is_no_other_one():
    assert problems(rule, scan(before=remembered())) == []


def test_a_failed_cluster_that_shows_no_identity_is_silent():
    bare = rebuilt(provisioning_state="Failed", identity_type="", principal_id="", kubelet=None)
    world = scan(bare, before=remembered(), baseline=[row(assignment("AcrPull", REGISTRY, KUBELET_ID))])
    assert problems(rule, world) == []


def test_a_cluster_that_is_being_made_is_waited_for():
    world = scan(
        rebuilt(provisioning_state="Creating"),
        before=remembered(),
        baseline=[row(assignment("AcrPull", REGISTRY, KUBELET_ID))],
    )
    assert problems(rule, world) == [] and len(doubts(world)) == 1


@pytest.mark.parametrize(
    "blind",
    [
        pytest.param({"listed": ()}, id="the assignments of the scope were not listed"),
        pytest.param({"members": ()}, id="the groups of the new identity were not read"),
    ],
)
def test_what_could_not_be_read_is_in_doubt(blind):
    world = replaced(**blind)
    assert problems(rule, world) == [] and {hit.key for hit in doubts(world)} == {CONTROL_ID, KUBELET_ID}


def test_an_identity_that_comes_back_was_not_replaced():
    first = replaced()
    former = first.former[first.clusters[0].id.lower()]
    assert problems(rule, scan(before=former, now=after(1), baseline=first.access.baseline)) == []


def test_two_heirs_of_a_service_principal_share_its_grants():
    old = [row(assignment("AcrPull", REGISTRY, SP_OBJECT)), row(assignment("Network Contributor", SUBNET, SP_OBJECT))]
    held = [assignment("AcrPull", REGISTRY, KUBELET_ID), assignment("Network Contributor", SUBNET, CONTROL_ID)]
    assert problems(rule, converted(baseline=old, live=held)) == []
    (hit,) = problems(rule, converted(baseline=old, live=held[1:]))
    assert hit.key == SP_OBJECT and hit.facts["lost_principal"] == KUBELET_ID
    (hit,) = problems(rule, converted(baseline=old, live=held[:1]))
    assert hit.facts["lost_principal"] == CONTROL_ID


def test_a_service_principal_cluster_on_another_service_principal_is_a_change_too():
    other = service_principal(object_id="44444444-4444-4444-8444-4444444444ff", app_id="other")
    before = remembered(on_principal(), principals=[service_principal()])
    world = scan(
        on_principal(client_id="other"),
        before=before,
        principals=[other],
        members=[other.object_id],
        baseline=[row(assignment("AcrPull", REGISTRY, SP_OBJECT))],
    )
    assert len(problems(rule, world)) == 1


def test_a_user_assigned_identity_outlives_the_cluster():
    world = scan(brought(), before=remembered(brought()), baseline=[row(assignment("AcrPull", REGISTRY, KUBELET_ID))])
    assert problems(rule, world) == []
