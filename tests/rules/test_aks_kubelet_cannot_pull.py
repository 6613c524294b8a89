from dataclasses import replace

import pytest

from shared import drift
from shared.model import Severity
from shared.rule import command
from shared.rules.aks_kubelet_cannot_pull import aks_kubelet_cannot_pull as rule
from tests.builders import after, problems
from tests.estate import ABAC, ACR, IMAGES, KUBELET_ID, MODERN, REGISTRY, assignment, cluster, lost, only, whole

PULL = "Microsoft.ContainerRegistry/registries/pull/read"
CONTENT = "Microsoft.ContainerRegistry/registries/repositories/content/read"


def test_a_registry_that_may_not_be_pulled_from_any_more():
    (hit,) = problems(rule, lost(drift.PULL).snapshot(after(1)))
    assert hit.title == "Cluster prod-weu can no longer pull images from acme.azurecr.io"
    assert (hit.severity, hit.variant) == (Severity.CRITICAL, "lost")
    assert "ImagePullBackOff" in str(hit.facts["fails"])


def test_a_hostile_condition_is_one_word_of_the_command():
    condition = "@Resource[a] StringEquals 'x'; rm -rf /\n$(id) `id` \"quoted\""
    estate = lost(drift.PULL, condition=condition, condition_version="2.0")
    estate.scan(after(1))
    (hit,) = problems(rule, estate.snapshot(after(2)))
    restore = command(rule.runbook("lost").fix, hit.facts)
    shown = condition.replace("'", "'\"'\"'")
    assert restore.endswith(f"--scope {REGISTRY} --condition '{shown}' --condition-version 2.0")


@pytest.mark.parametrize(
    ("actions", "data", "number"),
    [
        ((PULL,), (), 1),
        (("*/read",), (), 1),
        (("Microsoft.ContainerRegistry/registries/read",), (), 0),
        ((), (PULL,), 0),
    ],
)
def test_the_one_action_that_pulls_is_what_was_lost(actions, data, number):
    estate = only(drift.PULL, *actions, data=data)
    estate.scan()
    estate.live.pop()
    assert len(problems(rule, estate.snapshot(after(1)))) == number


def test_on_a_registry_with_abac_only_the_data_action_counts():
    estate = whole()
    gone = assignment("Container Registry Repository Reader", MODERN, KUBELET_ID)
    estate.live.append(gone)
    estate.scan()
    estate.delete(gone)
    (hit,) = problems(rule, estate.snapshot(after(1)))
    assert hit.facts["target"] == "modern.azurecr.io"
    assert hit.facts["actions"] == [CONTENT]
    estate.live.append(assignment("AcrPull", MODERN, KUBELET_ID))
    assert len(problems(rule, estate.snapshot(after(1)))) == 1
    estate.live.append(assignment("Container Registry Repository Reader", IMAGES, KUBELET_ID))
    assert problems(rule, estate.snapshot(after(1))) == []


def test_a_registry_that_changes_to_abac_is_not_pulled_from_by_acr_pull_and_that_is_no_loss_of_a_grant():
    estate = whole()
    estate.scan()
    estate.registries = (replace(ACR, abac=True), ABAC)
    assert problems(rule, estate.snapshot(after(1))) == [], "no grant that was ever seen gave it: see docs/rules.md"


SILENT = {
    "anybody may pull": {"registries": (replace(ACR, anonymous=True), ABAC)},
    "the registry is gone": {"registries": (ABAC,)},
    "the cluster is being deleted": {"cluster": cluster(provisioning_state="Deleting")},
    "the cluster shows no kubelet": {"cluster": cluster(kubelet=None)},
}


@pytest.mark.parametrize("name", SILENT)
def test_silent(name):
    estate = lost(drift.PULL)
    for field, value in SILENT[name].items():
        setattr(estate, field, value)
    assert problems(rule, estate.snapshot(after(1))) == []


def test_silent_on_a_registry_that_was_never_pulled_from():
    assert problems(rule, whole({drift.PULL}).snapshot()) == []


def test_silent_when_it_may_pull_under_a_condition():
    estate = lost(drift.PULL)
    estate.live.append(assignment("AcrPull", REGISTRY, KUBELET_ID, condition="@x", condition_version="2.0"))
    assert problems(rule, estate.snapshot(after(1))) == []
