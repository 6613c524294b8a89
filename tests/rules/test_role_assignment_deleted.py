from dataclasses import replace

import pytest

from shared import drift
from shared.access import Caller
from shared.model import Severity
from shared.rule import command
from shared.rules.role_assignment_deleted import role_assignment_deleted as rule
from tests.builders import after, problems
from tests.estate import CONTROL_ID, GROUP, KUBELET_ID, S, assignment, cluster, lost, whole

VAULT = f"{S}/resourceGroups/app/providers/Microsoft.KeyVault/vaults/shop"
SECRETS = "Key Vault Secrets User"


def without(*gone, stays=()):
    """An estate that held these assignments, was scanned, and lost them."""
    estate = whole()
    estate.live += [*gone, *stays]
    estate.scan()
    estate.delete(*gone)
    return estate


def test_a_right_that_nothing_known_rests_on():
    (hit,) = problems(rule, without(assignment(SECRETS, VAULT, KUBELET_ID)).snapshot(after(1)))
    assert hit.title == "The kubelet identity of cluster prod-weu lost role Key Vault Secrets User on shop"
    assert rule.severity is Severity.WARNING
    assert command(rule.runbook().fix, hit.facts) == (
        f"az role assignment create --assignee-object-id {KUBELET_ID} --assignee-principal-type ServicePrincipal "
        f"--role 4633458b-17de-408a-b874-0445c86b69e6 --scope {VAULT}"
    )


def test_where_nobody_could_ask_whether_the_scope_still_exists_it_says_so():
    snapshot = without(assignment(SECRETS, VAULT, KUBELET_ID)).snapshot(after(1))
    unasked = replace(snapshot, access=replace(snapshot.access, unasked={VAULT.lower(): "HTTP 403"}))
    told = f"Whether {VAULT} still exists could not be read: HTTP 403. If it was deleted on purpose: python -m shared accept"
    for seen, lines in ((snapshot, 0), (unasked, 1)):
        (hit,) = problems(rule, seen)
        assert len([line for line in hit.facts["evidence"] if line.startswith(told)]) == lines


def test_of_a_group_the_command_gives_it_back_to_the_group():
    estate = whole()
    gone = assignment(SECRETS, VAULT, GROUP, principal_type="Group")
    estate.groups[KUBELET_ID] = (GROUP,)
    estate.live.append(gone)
    estate.scan()
    estate.delete(gone)
    (hit,) = problems(rule, estate.snapshot(after(1)))
    assert hit.facts["principal_id"] == KUBELET_ID
    assert f"--assignee-object-id {GROUP} --assignee-principal-type Group" in command(rule.runbook().fix, hit.facts)


def test_text_of_the_tenant_is_no_word_of_the_shell_of_its_own():
    hostile = f"{S}/resourceGroups/a'b $(id)\nc/providers/Microsoft.KeyVault/vaults/x;y"
    condition = "@a 'b' \"c\"\n; $(id)"
    gone = assignment(SECRETS, hostile, KUBELET_ID, condition=condition, condition_version="2.0")
    (hit,) = problems(rule, without(gone).snapshot(after(1)))
    restore = command(rule.runbook().fix, hit.facts)
    quoted = [text.replace("'", "'\"'\"'") for text in (hostile, condition)]
    assert restore.endswith(f"--scope '{quoted[0]}' --condition '{quoted[1]}' --condition-version 2.0")


@pytest.mark.parametrize(
    ("by", "line"),
    [
        (
            Caller(object_id="o", upn="ada@x", confirmed=True),
            "Deleted by ada@x (object id o): the activity log says so.",
        ),
        (Caller(object_id="o", app_id="a"), "Deleted by app a (object id o): according to the event, unconfirmed."),
        (Caller(object_id="o"), "Deleted by o: according to the event, unconfirmed."),
    ],
)
def test_who_did_it_and_how_sure_that_is(by, line):
    gone = assignment(SECRETS, VAULT, KUBELET_ID)
    estate = without(gone)
    estate.event(gone, after(0.5), by)
    (hit,) = problems(rule, estate.snapshot(after(1)))
    assert hit.facts["evidence"][1] == line
    assert hit.lost_at == after(0.5)


def test_a_re_creation_that_is_lost_too_is_the_same_problem():
    first, second = (
        problems(rule, without(assignment(SECRETS, VAULT, KUBELET_ID)).snapshot(after(1)))[0] for _ in range(2)
    )
    assert first.facts["lost_assignment"] != second.facts["lost_assignment"]
    assert (first.resource_id, first.key) == (second.resource_id, second.key)


def test_it_is_the_evidence_of_the_rule_that_says_what_breaks():
    estate = lost(drift.JOIN)
    found = estate.scan(after(1))
    assert found[drift.REMOVED].fingerprint in found[drift.JOIN].includes


SILENT = {
    "nothing was lost": lambda: whole(),
    "the same role is held higher up": lambda: without(
        assignment(SECRETS, VAULT, KUBELET_ID), stays=[assignment(SECRETS, S, KUBELET_ID)]
    ),
    "a group holds it": lambda: in_group(
        without(assignment(SECRETS, VAULT, KUBELET_ID), stays=[assignment(SECRETS, VAULT, GROUP)])
    ),
    "somebody else's": lambda: without(assignment(SECRETS, VAULT, "99999999-0000-4000-8000-000000000001")),
    "all that rests on it is held in another way": lambda: without(
        assignment("Reader", S, KUBELET_ID), stays=[assignment("Contributor", S, KUBELET_ID)]
    ),
    "the cluster is being deleted": lambda: deleting(without(assignment(SECRETS, VAULT, KUBELET_ID))),
}


def in_group(estate):
    estate.groups[KUBELET_ID] = (GROUP,)
    return estate


def deleting(estate):
    estate.cluster = cluster(provisioning_state="Deleting")
    return estate


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    assert problems(rule, SILENT[name]().snapshot(after(1))) == []


def test_a_narrower_or_another_right_does_not_make_up_for_it():
    gone = assignment("Contributor", VAULT, CONTROL_ID)
    for stays in (assignment("Contributor", VAULT + "2", CONTROL_ID), assignment("Reader", VAULT, CONTROL_ID)):
        assert len(problems(rule, without(gone, stays=[stays]).snapshot(after(1)))) == 1
