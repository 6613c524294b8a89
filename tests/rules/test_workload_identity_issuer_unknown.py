import pytest

from shared.findings import evaluate, reconcile
from shared.model import ManagedCluster, Severity
from shared.rules import workload_identity_issuer_unknown as rule
from tests.builders import OTHER_TENANT, TENANT_ID, problems, unread
from tests.catalogue import DEAD, ISSUER, MARK, app_trust, cluster, rebuilt, remembered, scan, trust

OLD_FORM = f"https://oidc.prod-aks.azure.com/{MARK}/"


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(DEAD, id="a cluster that is not there"),
        pytest.param(DEAD.upper(), id="in upper case"),
        pytest.param(DEAD.rstrip("/"), id="without the slash"),
        pytest.param(OLD_FORM, id="the form of old, which names no tenant"),
        pytest.param(DEAD.replace(".azure.com", ".azure.us"), id="the government's cloud"),
        pytest.param(DEAD.replace(".azure.com", ".azure.cn"), id="China's cloud"),
    ],
)
@pytest.mark.parametrize("made", [trust, app_trust])
def test_an_issuer_that_no_cluster_has_is_a_warning(issuer, made):
    (hit,) = problems(rule, scan(trusts=[made(issuer=issuer)]))
    assert rule.severity is Severity.WARNING and hit.severity is None
    assert hit.variant == ("application" if made is app_trust else "")
    assert "is not there" in hit.title


@pytest.mark.parametrize(
    ("live", "trusted", "word"),
    [
        (ISSUER, ISSUER.rstrip("/"), "only by the slash"),
        (ISSUER.rstrip("/"), ISSUER, "only by the slash"),
        (ISSUER, ISSUER.upper(), "only by case"),
    ],
)
def test_another_spelling_is_named_with_the_difference(live, trusted, word):
    (hit,) = problems(rule, scan(cluster(oidc_issuer=live), trusts=[trust(issuer=trusted)]))
    assert hit.variant == "slash" and word in hit.facts["evidence"][0]
    assert hit.facts["live_issuer"] == live


def test_a_rebuilt_cluster_is_named_with_its_new_issuer():
    (hit,) = problems(rule, scan(rebuilt(), trusts=[trust()], before=remembered(cluster())))
    assert (hit.variant, hit.facts["live_issuer"]) == ("rebuilt", DEAD)


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(ISSUER, id="a live cluster's"),
        pytest.param("https://token.actions.githubusercontent.com", id="GitHub's"),
        pytest.param(f"https://login.microsoftonline.com/{TENANT_ID}/v2.0", id="Entra's own"),
        pytest.param("https://container.googleapis.com/v1/projects/p/clusters/aks", id="Google's"),
        pytest.param("https://oidc.eks.eu-west-1.amazonaws.com/id/AKS", id="Amazon's"),
        pytest.param(DEAD.replace(TENANT_ID, OTHER_TENANT), id="a cluster of another tenant"),
        pytest.param("https://aks.example.org/oic.prod-aks.azure.com/", id="a path that holds the words"),
        pytest.param(f"https://oic.prod-aks.azure.com.evil.example/{MARK}/", id="a host that begins with the words"),
        pytest.param("", id="none"),
        pytest.param("\n", id="a line break"),
    ],
)
@pytest.mark.parametrize("made", [trust, app_trust])
def test_what_is_not_about_a_cluster_of_this_tenant_is_silent(issuer, made):
    assert problems(rule, scan(trusts=[made(issuer=issuer)])) == []


def test_where_subscriptions_are_named_the_cluster_may_be_elsewhere():
    (hit,) = problems(rule, scan(trusts=[trust(issuer=DEAD)], named=True))
    assert hit.severity is Severity.INFO
    (hit,) = problems(rule, scan(trusts=[trust(issuer=ISSUER.rstrip("/"))], named=True))
    assert hit.severity is None


def test_twenty_credentials_are_twenty_findings():
    many = [trust(id=f"{trust().id}{number}", issuer=DEAD) for number in range(20)]
    assert len({hit.key for hit in problems(rule, scan(trusts=many))}) == 20


def test_while_clusters_are_unread_nothing_is_said_and_nothing_resolved():
    seen = scan(trusts=[trust(issuer=DEAD)])
    stored = reconcile((), evaluate(seen, [rule]), seen, [rule])
    assert len(stored) == 1
    blind = scan(trusts=[trust(issuer=DEAD)], unread=[unread(ManagedCluster, "/subscriptions/9")])
    assert evaluate(blind, [rule]).findings == ()
    for what in (blind, scan(unread=[unread(ManagedCluster, "/subscriptions/9")])):
        assert all(one.open for one in reconcile(stored, evaluate(what, [rule]), what, [rule]))
    mended = scan()
    assert not any(one.open for one in reconcile(stored, evaluate(mended, [rule]), mended, [rule]))


def test_a_cluster_that_was_read_is_enough_to_tell_of_its_own_issuer():
    elsewhere = [unread(ManagedCluster, "/subscriptions/9")]
    for world in (
        scan(trusts=[trust(issuer=ISSUER.rstrip("/"))], unread=elsewhere),
        scan(rebuilt(), trusts=[trust()], before=remembered(cluster()), unread=elsewhere),
    ):
        assert len(evaluate(world, [rule]).findings) == 1
