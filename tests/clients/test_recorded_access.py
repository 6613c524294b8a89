"""Recorded answers about role assignments, as others received them: what they say of scopes, principals and callers."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment as Wire
from azure.mgmt.monitor.models import EventData
from azure.mgmt.msi.v2024_11_30.models import FederatedIdentityCredential

from shared.access import Level, level
from shared.clients.activity import deletion
from shared.clients.identities import federated_credential
from shared.clients.rbac import role_assignment
from simulator import generate

from ..conftest import Start, day

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not beside the repository")


def sample(name: str) -> list[Any]:
    found: list[Any] = json.loads((SAMPLES / name).read_text(encoding="utf-8"))["value"]
    return found


def test_the_recorded_log_tells_what_was_deleted_and_by_whom() -> None:
    entries = [EventData.deserialize(one) for one in sample("activity-log-role-assignment-write-and-delete.json")]
    (found,) = [one for one in map(deletion, entries) if one]
    one = found.assignment
    assert one.principal_id == "9797af77-99ee-4c2b-a60a-31e144f2925b"
    assert one.role_id == "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    assert level(one.scope) is Level.RESOURCE_GROUP
    assert one.id.startswith(one.scope)
    assert found.by.upn == "rolelivetest@azuresdkteam.onmicrosoft.com"
    assert found.by.object_id == "6d97229a-391f-473a-893f-f0608b592d7b"
    assert found.by.confirmed
    assert found.at == datetime(2022, 5, 7, 7, 11, 53, 771206, tzinfo=UTC)


def test_the_recorded_assignments_lie_where_they_lie() -> None:
    found = [role_assignment(Wire.deserialize(one)) for one in sample("arm-role-assignments-list-subscription.json")]
    levels = Counter(level(one.scope) for one in found)
    assert len(found) == 80
    assert levels[Level.MANAGEMENT_GROUP] == 34
    assert levels[Level.ROOT] == 3
    assert not levels[Level.OTHER]


async def test_the_recorded_assignments_through_the_real_client(start: Start) -> None:
    watch = start(generate(applications=0, subscriptions=1, clusters=0, now=day("2024-11-01")), storage=False)
    name = watch.azure.tenant.subscriptions[0].id
    body = (SAMPLES / "arm-role-assignments-list-subscription.json").read_bytes()
    watch.azure.record(f"/subscriptions/{name}/providers/Microsoft.Authorization/roleAssignments", body)
    async with watch.clients(storage=False) as clients:
        found, unread = await clients.rbac.list_assignments(name)
    assert not unread
    assert len(found) == 80
    assert all(one.listed_in == {name} for one in found)


def test_a_recorded_credential_without_a_subject_is_a_flexible_one() -> None:
    name = "arm-federated-identity-credentials-list-incl-flexible.spec-example.json"
    found = [federated_credential(FederatedIdentityCredential.deserialize(one), "/identity") for one in sample(name)]
    assert [bool(one.subject) for one in found] == [True, False]
    assert found[0].audiences == ("api://AzureADTokenExchange",)
