import pytest

from shared.findings import evaluate
from shared.model import Owner
from shared.rules.entra_application_without_owner import entra_application_without_owner as rule
from tests.builders import after, application, certificate, hits, secret, service_principal, snapshot, unread

NOBODY = {application().id: ()}
SOMEBODY = {application().id: (Owner(object_id="ada"),)}


def found(*records, owners=NOBODY):
    return hits(rule, *records, owners=owners)


def test_an_application_near_its_end_without_an_owner():
    (hit,) = found(application(secret_ends=[after(10), after(20)]))
    assert hit.title == "Application checkout has no owner, and its credential ends on Thu 3 Dec 2026"
    assert hit.resource_id == application().id


@pytest.mark.parametrize(
    ("end", "number"),
    [(after(60), 1), (after(60.01), 0), (after(-30), 1), (after(-30.01), 0), (None, 0)],
    ids=["the window", "before it", "ended lately", "ended long ago", "never ends"],
)
def test_its_boundaries(end, number):
    assert len(found(application(secret(end)))) == number


def test_an_ended_one():
    (hit,) = found(application(certificate(after(-2))))
    assert "its credential ended on" in hit.title


@pytest.mark.parametrize(
    ("records", "owners"),
    [
        pytest.param([application(secret())], SOMEBODY, id="it has an owner"),
        pytest.param([application(secret())], {}, id="its owners were not asked for"),
        pytest.param([application(secret(), secret(after(400), 2))], NOBODY, id="the credential is replaced"),
        pytest.param([application()], NOBODY, id="it has no credential"),
        pytest.param([service_principal(secret())], {service_principal().id: ()}, id="a service principal"),
    ],
)
def test_silent(records, owners):
    assert found(*records, owners=owners) == []


def test_undecided_where_owners_are_unread():
    world = snapshot(application(secret()), unread(Owner), owners=NOBODY)
    observed = evaluate(world, [rule])
    assert not observed.findings
    assert len(observed.undecided) == 1
