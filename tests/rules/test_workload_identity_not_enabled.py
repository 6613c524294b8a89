import pytest

from shared.model import Severity
from shared.rules import workload_identity_not_enabled as rule
from tests.builders import problems
from tests.catalogue import DEAD, ISSUER, app_trust, cluster, rebuilt, remembered, scan, trust

OFF = cluster(oidc_issuer="", idle_issuer=ISSUER)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(scan(cluster(workload_identity=False), trusts=[trust()]), id="the webhook is off"),
        pytest.param(scan(cluster(workload_identity=False), trusts=[app_trust()]), id="for an application"),
        pytest.param(
            scan(cluster(workload_identity=False), trusts=[trust(issuer=ISSUER.rstrip("/"))]), id="without the slash"
        ),
        pytest.param(scan(OFF, trusts=[trust()]), id="the issuer is off, and still shown"),
        pytest.param(
            scan(cluster(oidc_issuer=""), trusts=[trust()], before=remembered(cluster())),
            id="the issuer is off, and was seen before",
        ),
    ],
)
def test_a_cluster_that_lacks_one_of_the_two_is_a_warning(world):
    (hit,) = problems(rule, world)
    assert (hit.resource_name, rule.severity) == ("prod-weu", Severity.WARNING)


def test_many_credentials_are_one_finding():
    many = [trust(), app_trust(), *(trust(id=f"{trust().id}{number}") for number in range(20))]
    (hit,) = problems(rule, scan(cluster(workload_identity=False), trusts=many))
    assert "22 federated credentials rely" in hit.title and len(hit.facts["evidence"]) == 20


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(scan(trusts=[trust()]), id="both are on"),
        pytest.param(scan(cluster(workload_identity=False)), id="nobody relies on it"),
        pytest.param(scan(cluster(oidc_issuer="", workload_identity=False)), id="nor on the issuer"),
        pytest.param(
            scan(cluster(workload_identity=False), trusts=[trust(issuer=DEAD)]), id="another cluster is meant"
        ),
        pytest.param(
            scan(rebuilt(workload_identity=False), trusts=[trust()], before=remembered(cluster())),
            id="the issuer of before is another rule's",
        ),
        pytest.param(
            scan(
                cluster(workload_identity=False), trusts=[trust(issuer="https://token.actions.githubusercontent.com")]
            ),
            id="not about AKS",
        ),
    ],
)
def test_otherwise_it_is_silent(world):
    assert problems(rule, world) == []
