import pytest

from shared.access import Membership, RoleAssignment
from shared.findings import evaluate, reconcile
from shared.model import Severity
from shared.rule import fingerprint
from shared.rules import role_assignment_deleted
from shared.rules import workload_identity_without_role as rule
from tests.builders import SP_OBJECT, after, problems, unread
from tests.catalogue import (
    DEAD,
    ISSUER,
    VAULT,
    WORKLOAD_ID,
    app_trust,
    cluster,
    row,
    scan,
    trust,
)
from tests.estate import GROUP, KUBELET_ID, MG, S, assignment

USER = ("Key Vault Secrets User", VAULT)
LOST = row(assignment(*USER, WORKLOAD_ID), lost=after(-1))


@pytest.mark.parametrize(("made", "holder"), [(trust, WORKLOAD_ID), (app_trust, SP_OBJECT)])
def test_no_role_at_all_is_info(made, holder):
    (hit,) = problems(rule, scan(trusts=[made()]))
    assert (hit.key, hit.variant, rule.severity, hit.severity) == (holder, "", Severity.INFO, None)
    assert "principal_id" not in hit.facts, "settle would ask ARM for a scope that there is none of"


def test_the_loss_of_one_is_a_warning_that_names_it():
    (hit,) = problems(rule, scan(trusts=[trust()], baseline=[LOST]))
    assert (hit.severity, hit.variant, hit.lost_at) == (Severity.WARNING, "lost", after(-1))
    assert "Key Vault Secrets User on shop" in hit.title
    assert hit.includes == (fingerprint("role_assignment_deleted", cluster().id, LOST.loss),)


def test_the_loss_of_one_of_two_is_a_warning_too():
    (hit,) = problems(rule, scan(trusts=[trust()], baseline=[LOST], live=[assignment("Reader", S, WORKLOAD_ID)]))
    assert hit.variant == "lost"


def test_several_losses_are_one_finding():
    other = row(assignment("AcrPull", S, WORKLOAD_ID), lost=after(-2))
    (hit,) = problems(rule, scan(trusts=[trust()], baseline=[other, LOST]))
    assert hit.title.endswith("on shop and 1 more") and hit.facts["targets"] == [VAULT, S]


def test_the_holder_of_twenty_credentials_is_told_once():
    many = [trust(id=f"{trust().id}{number}", subject=f"system:serviceaccount:a:b{number}") for number in range(20)]
    assert len(problems(rule, scan(trusts=many))) == 1


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(scan(trusts=[trust()], live=[assignment(*USER, WORKLOAD_ID)]), id="a role on the target"),
        pytest.param(scan(trusts=[trust()], live=[assignment("Reader", MG, WORKLOAD_ID.upper())]), id="from above"),
        pytest.param(
            scan(trusts=[trust()], live=[assignment("Reader", S, GROUP)], groups={WORKLOAD_ID: [GROUP]}),
            id="by a group",
        ),
        pytest.param(
            scan(trusts=[trust()], live=[assignment(*USER, WORKLOAD_ID, condition="@x")]), id="under a condition"
        ),
        pytest.param(
            scan(trusts=[trust()], baseline=[LOST], live=[assignment("Key Vault Secrets User", S, WORKLOAD_ID)]),
            id="lost, and held from above",
        ),
        pytest.param(scan(trusts=[trust(issuer=DEAD)]), id="no live cluster is behind it"),
        pytest.param(scan(trusts=[app_trust(principal_id="")]), id="an application without a service principal"),
        pytest.param(scan(), id="nothing is federated"),
        pytest.param(scan(baseline=[row(assignment(*USER, KUBELET_ID), lost=after(-1))]), id="another identity's loss"),
    ],
)
def test_otherwise_it_is_silent(world):
    assert problems(rule, world) == []


def test_where_groups_or_assignments_are_unread_nothing_is_missing_and_nothing_resolved():
    seen = scan(trusts=[trust()])
    stored = reconcile((), evaluate(seen, [rule]), seen, [rule])
    assert [one.open for one in stored] == [True]
    for blind in (
        scan(trusts=[trust()], members=()),
        scan(trusts=[trust()], unread=[unread(RoleAssignment, "/subscriptions/9")]),
        scan(trusts=[trust()], unread=[unread(Membership)]),
    ):
        assert evaluate(blind, [rule]).findings == ()
        assert all(one.open for one in reconcile(stored, evaluate(blind, [rule]), blind, [rule]))
    given = scan(trusts=[trust()], live=[assignment(*USER, WORKLOAD_ID)])
    assert not any(one.open for one in reconcile(stored, evaluate(given, [rule]), given, [rule]))
    assert given.clusters[0].oidc_issuer == ISSUER


@pytest.mark.parametrize("passing", [True, False])
def test_a_loss_is_not_resolved_by_a_listing_that_fails(passing):
    rules = [rule, role_assignment_deleted]
    fields = {"trusts": [trust()], "baseline": [LOST], "live": [assignment("Reader", S, WORKLOAD_ID)]}
    seen = scan(**fields)
    stored = reconcile((), evaluate(seen, rules), seen, rules)
    assert {one.rule for one in stored if one.open} == {one.id for one in rules}
    blind = scan(**fields, listed=(), unread=[unread(RoleAssignment, S, passing=passing)])
    assert all(one.open for one in reconcile(stored, evaluate(blind, rules), blind, rules))
