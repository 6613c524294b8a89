"""What is fuzzed: everything that somebody else wrote and we read.

Bytes turn good samples into bad ones; only the errors that are named may come out. Each gives how many samples were
understood all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError, ServiceResponseError
from azure.identity.aio import ManagedIdentityCredential
from azure.mgmt.authorization.v2022_04_01 import models as rights
from azure.mgmt.containerregistry import models as registries
from azure.mgmt.containerservice import models as containers
from azure.mgmt.monitor import models as monitor
from azure.mgmt.msi.v2024_11_30 import models as msi
from kiota_abstractions.method import Method

from shared.access import BaselineGrant, RoleAssignment
from shared.clients import aks, baseline_rows, entra, graph, inbox_rows, other_rows, rows, scan_rows
from shared.clients.activity import deletion
from shared.clients.graph_pages import application, deleted_application, page_of, service_principal
from shared.clients.http import Arm, Patience, ReadError, _complete, error_code, retry_after, same_origin
from shared.clients.identities import federated_credential, identity
from shared.clients.rbac import Rbac, role_assignment, role_definition
from shared.clients.resources import registry, subnet
from shared.clients.values import UNCLEAR
from shared.events import EventError, decode, stripped
from shared.findings import Finding, Notice, Reason
from shared.model import Application, CredentialKind, Severity
from shared.settings import Settings, SettingsError, schedule
from shared.silences import problem

from .mutation import Choices, mutated

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
GUID = "11111111-1111-4111-8111-111111111111"
GROUP = f"/subscriptions/{GUID}/resourceGroups/rg"
ASSIGNMENT = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{GUID}"
ROLE = f"/subscriptions/{GUID}/providers/Microsoft.Authorization/roleDefinitions/{GUID}"
CREDENTIAL = {
    "keyId": GUID,
    "displayName": "one",
    "startDateTime": "2024-11-01T06:00:00Z",
    "endDateTime": "2026-12-01T06:00:00.1234567Z",
    "customKeyIdentifier": "c29tZXRoaW5n",
}
PAGE = {
    "@odata.nextLink": "https://graph.microsoft.com/v1.0/applications?$skiptoken=2",
    "value": [
        {
            "id": GUID,
            "appId": GUID,
            "displayName": "app",
            "accountEnabled": True,
            "servicePrincipalType": "Application",
            "passwordCredentials": [CREDENTIAL],
            "keyCredentials": [{**CREDENTIAL, "usage": "Verify", "type": "AsymmetricX509Cert"}],
        }
    ],
}
RELATED = {
    "@odata.type": "#microsoft.graph.group",
    "id": GUID,
    "displayName": "one",
    "userPrincipalName": "one@example.com",
    "name": "one",
    "issuer": "https://issuer",
    "subject": "system:serviceaccount:a:b",
    "audiences": ["api://x"],
}
PRINCIPAL = {"id": GUID, "appId": GUID, "displayName": "one", "accountEnabled": True, "userType": "Member"}
MORE = "https://graph.microsoft.com/v1.0/more?$skiptoken=2"
LISTED = {"value": [RELATED], "@odata.nextLink": MORE}
BATCH: dict[str, Any] = {
    "responses": [
        {"id": "1", "status": 404, "headers": {"Content-Type": "application/json"}, "body": {"error": {"code": "x"}}},
        {"id": "0", "status": 200, "headers": {"Retry-After": "1"}, "body": {**PRINCIPAL, **LISTED}},
    ]
}
"""Graph answers a $batch in any order; this answer is one to every question that we ask by batch."""
IDENTITY = {"resourceId": f"{GROUP}/providers/x/y/z", "clientId": GUID, "objectId": GUID}
CLUSTER = {
    "id": f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/c",
    "name": "c",
    "location": "westeurope",
    "tags": {"team": "a"},
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/one": {"principalId": GUID, "clientId": GUID}}},
    "sku": {"name": "Base"},
    "properties": {
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        "servicePrincipalProfile": {"clientId": "msi"},
        "agentPoolProfiles": [{"name": "system", "type": "VirtualMachineScaleSets", "vnetSubnetID": f"{GROUP}/s"}],
        "identityProfile": {"kubeletidentity": IDENTITY},
        "addonProfiles": {"azurepolicy": {"enabled": True, "identity": IDENTITY}},
        "nodeResourceGroup": "MC",
        "networkProfile": {"networkPlugin": "azure", "outboundType": "loadBalancer"},
        "apiServerAccessProfile": {"enablePrivateCluster": True, "privateDNSZone": "system"},
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://issuer"},
        "securityProfile": {"workloadIdentity": {"enabled": True}},
    },
}
GRANT = {
    "id": ASSIGNMENT,
    "properties": {
        "roleDefinitionId": ROLE,
        "principalId": GUID,
        "principalType": "ServicePrincipal",
        "scope": GROUP,
        "condition": "@Resource[x] StringEquals 'y'",
        "conditionVersion": "2.0",
    },
}
GRANTS = {"value": [GRANT], "nextLink": None}
DEFINITION = {
    "id": ROLE,
    "properties": {"roleName": "R", "type": "CustomRole", "permissions": [{"actions": ["*/read"], "notActions": [""]}]},
}
OPERATION = {
    "operationName": {"value": "Microsoft.Authorization/roleAssignments/delete"},
    "status": {"value": "Succeeded"},
    "eventTimestamp": "2026-11-01T06:00:00Z",
    "caller": "somebody@example.com",
    "claims": {"appid": GUID},
    "properties": {"responseBody": json.dumps(GRANT)},
}
IDENTITY_RESOURCE = {"id": f"{GROUP}/i", "name": "i", "properties": {"clientId": GUID, "principalId": GUID}}
TRUST = {
    "id": f"{GROUP}/i/f",
    "properties": {"issuer": "https://issuer", "subject": "system:serviceaccount:a:b", "audiences": ["api://x"]},
}
REGISTRY = {
    "id": f"{GROUP}/r",
    "name": "r",
    "properties": {"loginServer": "r.azurecr.io", "anonymousPullEnabled": False},
}
EVENT = {
    "id": GUID,
    "subject": ASSIGNMENT,
    "eventType": "Microsoft.Resources.ResourceDeleteSuccess",
    "eventTime": "2026-11-01T06:00:00.1234567Z",
    "data": {
        "authorization": {"action": "Microsoft.Authorization/roleAssignments/delete", "scope": ASSIGNMENT},
        "claims": {"appid": GUID, "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "a@b"},
        "operationName": "Microsoft.Authorization/roleAssignments/delete",
        "resourceUri": ASSIGNMENT,
        "status": "Succeeded",
        "subscriptionId": GUID,
        "tenantId": GUID,
    },
}
ENVIRONMENT = {
    "AZURE_CLIENT_ID": GUID,
    "AZURE_CLOUD": "AzureCloud",
    "ARM_ENDPOINT": "https://management.azure.com",
    "GRAPH_ENDPOINT": "https://graph.microsoft.com",
    "SUBSCRIPTIONS": GUID,
    "TABLES_ENDPOINT": "https://account.table.core.windows.net",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "TEAMS_WEBHOOK_URL": "https://flows.example/one?sig=secret",
    "TEAMS_WEBHOOK_URL_WEB": "@Microsoft.KeyVault(x)",
    "ROUTES": '[{"team": "web", "name_prefix": "web-"}]',
    "TOPIC_ENDPOINT": "https://topic.example/api/events",
    "SCAN_SCHEDULE": "0 0 */6 * * *",
    "SETTLE_SCHEDULE": "0 * * * * *",
    "NOTICE_DAYS": "60,30",
    "MIN_SEVERITY": "warning",
    "GRACE_MINUTES": "5",
    "REPEAT_DAYS": "7",
    "RETENTION_DAYS": "180",
    "FUNCTION_APP_ID": f"{GROUP}/providers/Microsoft.Web/sites/f",
}
FINDING = Finding(
    fingerprint="0" * 32,
    rule="a_rule",
    severity=Severity.WARNING,
    resource_id="/one",
    resource_name="one",
    title="One",
    facts={"a": "b", "c": ["d"]},
    first_seen=NOW,
    changed=NOW,
    expires_on=NOW,
    announced=(Notice(receiver="", reason=Reason.NEW, severity=Severity.WARNING, when=NOW, tier=3),),
).remember(NOW, "open")
BASELINE = BaselineGrant(
    assignment=RoleAssignment(
        id=ASSIGNMENT,
        principal_id=GUID,
        principal_type="ServicePrincipal",
        role_definition_id=ROLE,
        scope=GROUP,
        listed_in=frozenset({GUID}),
    ),
    first_seen=NOW,
    deleted_at=NOW,
)
SILENCE = {
    "PartitionKey": GUID,
    "RowKey": "silence-000000000000",
    "schema": 1,
    "since": "2026-11-01T06:00:00+00:00",
    "until": "2026-12-01T06:00:00+00:00",
    "by": "a",
    "comment": "b",
    "rule": "a_rule",
}
READING = (AzureError, ValueError, TypeError, AttributeError)
"""What `reading()` turns into Unread."""


class Answering(graph.Graph):
    """Graph with one answer to every $batch, and one for each page that follows."""

    posted = page = b""

    async def send(self, method: Method, *_: Any, **__: Any) -> bytes:
        return self.posted if method is Method.POST else self.page


@dataclass(frozen=True, kw_only=True)
class Listed(Arm):
    """Resource Manager with one page, behind the policy that looks whether it is whole."""

    body: bytes

    async def pages(self, path: str, version: str, take: Callable[[bytes], str | None]) -> None:
        if not _complete(self.body):
            raise ServiceResponseError("the service answered 200 with something that is no listing")
        take(self.body)


AT_ONCE = Patience(attempts=2, longest_wait=0)
UNUSED: Any = None
CREDENTIALS = ManagedIdentityCredential()
GRAPH = entra.Entra(CREDENTIALS, "https://graph.microsoft.com", AT_ONCE)
ANSWERS = GRAPH._graph = Answering(CREDENTIALS, "https://graph.microsoft.com", AT_ONCE)
"""Made once: a client takes longer than an input may."""


def events(data: bytes) -> int:
    """Deliveries of Event Grid."""
    event = mutated(EVENT, Choices(data))
    if not isinstance(event, dict):
        return 0
    kept = stripped(event)
    assert stripped(kept) == kept
    assert len(json.dumps(kept)) < 40 * 2_000 * 6
    try:
        return decode(kept) is not None
    except EventError:
        return 0


def graph_pages(data: bytes) -> int:
    """Pages of Microsoft Graph, and its error bodies."""
    choices = Choices(data)
    raw = data if choices.number(8) == 7 else _bytes(mutated(PAGE, choices))
    error_code(raw)
    retry_after(raw[:40].decode("latin-1"))
    try:
        items, link, broken = page_of(raw, Application)
    except ReadError:
        return 0
    assert all(isinstance(one, str) for one in broken)
    same_origin(link or "", "https://graph.microsoft.com")
    understood = 0
    for item in items:
        for parse in (application, service_principal, deleted_application):
            with contextlib.suppress(ValueError):
                found = parse(item)
                for one in getattr(found, "credentials", ()):
                    assert one.kind in CredentialKind
                    assert all(when is None or when.tzinfo is UTC for when in (one.start, one.end))
                understood += 1
    ANSWERS.posted = data if raw is data else _bytes(mutated(BATCH, Choices(data)))
    ANSWERS.page = data if raw is data else _bytes({"value": [RELATED]})
    return understood + asyncio.run(_batches())


async def _batches() -> int:
    """Everything that is asked by batch: what an answer does not tell is unread, and no error comes out."""
    asked, understood = (GUID, "2" + GUID[1:]), 0
    owners, unread = await GRAPH.list_owners(f"/applications/{one}" for one in asked)
    assert len(owners) == len(asked) or unread
    understood += any(owners.values())
    memberships, gone, unread = await GRAPH.list_memberships(asked)
    assert len(memberships) + len(gone) == len(asked) or unread
    understood += bool(memberships)
    trusts, _ = await GRAPH.list_federated_credentials(asked)
    understood += bool(trusts)
    principals, _ = await GRAPH.list_principals_of(asked)
    members, _ = await GRAPH.list_members(asked)
    return understood + bool(principals) + bool(members)


def arm_pages(data: bytes) -> int:
    """Objects of Resource Manager, as the SDK gives them, and the listing that is decoded without it."""
    choices = Choices(data)
    understood = asyncio.run(_assignments(_bytes(mutated(GRANTS, Choices(data)))))
    understood += asyncio.run(_assignments(data))
    for sample, parse in (
        (CLUSTER, lambda item: aks.cluster(containers.ManagedCluster(item).as_dict())),
        (GRANT, lambda item: role_assignment(rights.RoleAssignment.deserialize(item))),
        (DEFINITION, lambda item: role_definition(rights.RoleDefinition.deserialize(item))),
        (OPERATION, lambda item: deletion(monitor.EventData.deserialize(item))),
        (OPERATION["properties"], lambda item: subnet(f"{GROUP}/s", item)),
        (IDENTITY_RESOURCE, lambda item: identity(msi.Identity.deserialize(item))),
        (TRUST, lambda item: federated_credential(msi.FederatedIdentityCredential.deserialize(item), GROUP)),
        (REGISTRY, lambda item: registry(registries.Registry(item))),
    ):
        # RecursionError: the SDK's own, for what nests deeper than any answer of ARM.
        with contextlib.suppress(*READING):
            understood += parse(mutated(sample, choices)) is not None
    return understood


async def _assignments(body: bytes) -> int:
    """The role assignments of a subscription: a page is understood whole, or it is unread."""
    arm = Listed(credential=CREDENTIALS, endpoint="https://management.azure.com", transport=UNUSED, body=body)
    found, unread = await Rbac(arm).list_assignments(GUID)
    assert unread or len(found) == len(json.loads(body)["value"])
    assert not (unread and found)
    return bool(found)


def settings(data: bytes) -> int:
    """App settings."""
    found = mutated(ENVIRONMENT, Choices(data))
    if not isinstance(found, dict):
        return 0
    env = {str(name): value for name, value in found.items() if isinstance(value, str)}
    # A secret in a setting that is none is no secret any more.
    elsewhere = any(
        "sig=secret" in name or ("sig=secret" in value and not name.startswith("TEAMS_WEBHOOK_URL"))
        for name, value in env.items()
    )
    for name in ("SCAN_SCHEDULE", "SETTLE_SCHEDULE"):
        assert schedule(env, name)
    try:
        made = Settings.from_env(env)
    except SettingsError as error:
        assert elsewhere or "sig=secret" not in f"{error} {error!r}"
        return 0
    assert elsewhere or "sig=secret" not in repr(made)
    return 1


def table_rows(data: bytes) -> int:
    """Rows of Table Storage, whoever wrote them."""
    choices, understood = Choices(data), 0
    for sample, parse in (
        (rows.finding_row(GUID, FINDING), rows.finding_of),
        (baseline_rows.grant_row(BASELINE), baseline_rows.grant_of),
        (
            baseline_rows.cluster_row(baseline_rows.ClusterRow(id="/c", client_id=GUID, principals=(GUID,))),
            baseline_rows.cluster_of,
        ),
        (
            scan_rows.scan_row(
                scan_rows.ScanRow(started=NOW, finished=NOW, tenant_id=GUID, counts={"a": 1}, unread={}, partial=False)
            ),
            scan_rows.scan_of,
        ),
        (SILENCE, other_rows.silence_of),
    ):
        row = mutated(sample, choices)
        if isinstance(row, dict):
            with contextlib.suppress(*UNCLEAR):
                found = parse(row)
                understood += 1
                if isinstance(found, Finding):
                    # What was understood can be written again.
                    rows.finding_row(GUID, found)
                elif parse is other_rows.silence_of:
                    problem(found)
    keyed = {"PartitionKey": GUID, "RowKey": f"due-{'0' * 32}"}
    others = mutated({"schema": 1, "not_before": "2026-11-01T06:00:00+00:00", "tries": 1, "at": "x"}, choices)
    if isinstance(others, dict):
        rows.due_of({**others, **keyed})
        other_rows.appointment_of({**others, **keyed, "RowKey": "due.heartbeat"})
        other_rows.newer(others)
    event = mutated(inbox_rows.inbox_row(inbox_rows.InboxRow(key="k", event=stripped(EVENT), received=NOW)), choices)
    if isinstance(event, dict):
        with contextlib.suppress(EventError):
            decode(inbox_rows.inbox_of({"RowKey": "k", **event}).event)
    if isinstance(row, dict):
        other_rows.others_of([{**SILENCE, **row, "RowKey": name} for name in ("silence-1", "due.topic", "refusal-")])
    return understood


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


TARGETS: dict[str, Callable[[bytes], int]] = {
    one.__name__: one for one in (events, graph_pages, arm_pages, settings, table_rows)
}
