"""What a scan reads of access, when something of it cannot be read: nothing unread is missing from the baseline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from simulator import Fault
from simulator.azurite import Azurite

from ..conftest import DRIFT_RULES, Watch, day

MORNING = day("2026-10-12T06:00")
PULL, REMOVED = "aks_kubelet_cannot_pull", "role_assignment_deleted"


def at(hours: float) -> datetime:
    return MORNING + timedelta(hours=hours)


def about_rights(azurite: Azurite, status: str = "open") -> list[dict[str, Any]]:
    rows = [row for row in azurite.rows("findings") if row["RowKey"].startswith("f-")]
    return [row for row in rows if row["status"] == status and row["rule"] in DRIFT_RULES]


def lost(azurite: Azurite) -> list[str]:
    rows = [row for row in azurite.rows("baseline") if row["PartitionKey"] == "grant"]
    return [row["id"] for row in rows if row["deleted_at"]]


@pytest.mark.parametrize(
    "path",
    ["transitiveMemberOf", "userAssignedIdentities", "/servicePrincipals", "roleDefinitions", "registries", "subnets"],
)
@pytest.mark.parametrize("status", [403, 503])
async def test_a_source_that_cannot_be_read_makes_no_loss(
    watch: Watch, azurite: Azurite, path: str, status: int
) -> None:
    watch.advance(MORNING)
    await watch.run(MORNING)
    watch.azure.add(Fault(path=path, status=status))
    await watch.run(at(6))
    assert about_rights(azurite) == []
    assert lost(azurite) == []
    watch.azure.clear()
    await watch.run(at(12))
    assert about_rights(azurite) == []


@pytest.mark.parametrize(
    "path",
    ["transitiveMemberOf", "userAssignedIdentities", "roleDefinitions", "registries", "roleAssignments"],
)
async def test_a_source_that_cannot_be_read_resolves_no_loss(watch: Watch, azurite: Azurite, path: str) -> None:
    watch.advance(MORNING)
    await watch.run(MORNING)
    tenant = watch.azure.tenant
    kubelet = tenant.cluster("shop-prod").kubelet_object_id
    gone = next(one for one in tenant.access if one.principal_id == kubelet)
    tenant.access.remove(gone.id)
    await watch.run(at(6))
    before = about_rights(azurite)
    assert {row["rule"] for row in before} == {PULL, REMOVED}
    watch.azure.add(Fault(path=path, status=403))
    await watch.run(at(12))
    assert {row["RowKey"] for row in about_rights(azurite)} >= {row["RowKey"] for row in before}
    watch.azure.clear()
    await watch.run(at(18))
    after = about_rights(azurite)
    assert {row["RowKey"]: row["first_seen"] for row in after} == {row["RowKey"]: row["first_seen"] for row in before}
    assert {row["severity"] for row in after} == {row["severity"] for row in before}


async def test_who_leaves_a_group_is_told_so_and_the_group_has_lost_nothing(watch: Watch, azurite: Azurite) -> None:
    watch.advance(MORNING)
    await watch.run(MORNING)
    tenant = watch.azure.tenant
    kubelet = tenant.cluster("web-stage").kubelet_object_id
    for group in tenant.access.groups:
        if kubelet in group.members:
            group.members.remove(kubelet)
    await watch.run(at(6))
    assert lost(azurite) == []
    (row,) = about_rights(azurite)
    assert (row["rule"], row["variant"]) == (PULL, "left")
