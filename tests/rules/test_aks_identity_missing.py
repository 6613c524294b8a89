from dataclasses import replace

import pytest

from shared.findings import evaluate, reconcile
from shared.model import Severity
from shared.rule import command
from shared.rules.aks_identity_missing import aks_identity_missing
from tests.builders import NOW, after, problems
from tests.estate import CONTROL, KUBELET, Estate, cluster, whole


def seen(estate: Estate):
    return problems(aks_identity_missing, estate.snapshot())


@pytest.mark.parametrize(("stays", "what"), [(CONTROL, "kubelet identity"), (KUBELET, "cluster identity")])
def test_an_identity_that_is_gone(stays, what):
    estate = whole()
    estate.identities = (stays,)
    (hit,) = seen(estate)
    gone = KUBELET if stays is CONTROL else CONTROL
    assert hit.title == f"The {what} {gone.name} of cluster prod-weu is gone"
    assert hit.key == gone.id
    assert aks_identity_missing.severity is Severity.CRITICAL
    made = command(aks_identity_missing.runbook().fix, hit.facts)
    assert made.endswith(f"--resource-group identities --name {gone.name}")


def test_an_identity_that_was_made_anew_has_another_client_id():
    estate = whole()
    estate.identities = (CONTROL, replace(KUBELET, client_id="another"))
    (hit,) = seen(estate)
    assert hit.variant == "remade"
    fix = command(aks_identity_missing.runbook("remade").fix, hit.facts)
    assert fix.endswith(f"--name prod-weu --assign-kubelet-identity {KUBELET.id}")


def test_a_cluster_identity_is_assigned_with_the_option_that_the_command_line_wants_beside_it():
    estate = whole()
    estate.identities = (replace(CONTROL, client_id="another"), KUBELET)
    (hit,) = [one for one in seen(estate) if one.variant == "remade"]
    fix = command(aks_identity_missing.runbook("remade").fix, hit.facts)
    assert fix.endswith(f"--name prod-weu --enable-managed-identity --assign-identity {CONTROL.id}")


SILENT = {
    "both are there": (cluster(), (CONTROL, KUBELET)),
    "an id in another case": (cluster(), (replace(CONTROL, id=CONTROL.id.upper()), KUBELET)),
    "a client id in another case": (cluster(), (CONTROL, replace(KUBELET, client_id="C2"))),
    "the cluster shows no client id": (cluster(kubelet=replace(KUBELET, client_id="")), (CONTROL, KUBELET)),
    "the identity shows no client id": (cluster(), (CONTROL, replace(KUBELET, client_id=""))),
    "a service principal": (cluster(client_id="4444", identities=(), kubelet=None), ()),
    "an identity of the system": (cluster(identities=(), principal_id="x", kubelet=None), ()),
    "it is being made": (cluster(provisioning_state="Creating"), ()),
    "it is being deleted": (cluster(provisioning_state="deleting"), ()),
}


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    made, identities = SILENT[name]
    estate = Estate(made=made)
    estate.identities = identities
    assert seen(estate) == []


@pytest.mark.parametrize("state", ["Creating", "Deleting"])
def test_a_cluster_that_is_being_changed_resolves_nothing(state):
    estate = whole()
    estate.identities = (CONTROL,)
    first = reconciled((), estate, NOW)
    assert [one.open for one in first] == [True]
    estate.cluster = cluster(provisioning_state=state)
    assert reconciled(first, estate, after(1)) == first
    estate.cluster = cluster()
    estate.identities = (CONTROL, KUBELET)
    assert [one.open for one in reconciled(first, estate, after(2))] == [False]


def test_an_identity_that_could_not_be_read_resolves_nothing():
    estate = whole()
    estate.identities = (CONTROL,)
    first = reconciled((), estate, NOW)
    snapshot = estate.snapshot(after(1), identities=False)
    assert reconcile(first, evaluate(snapshot, RULE), snapshot, RULE) == first


RULE = (aks_identity_missing,)


def reconciled(stored, estate, now):
    snapshot = estate.snapshot(now)
    return reconcile(stored, evaluate(snapshot, RULE), snapshot, RULE)
