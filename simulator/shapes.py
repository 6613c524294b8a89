"""What rights hang on, as the services send it: role assignments, roles, identities, registries, networks.

Shapes: https://learn.microsoft.com/rest/api/authorization, .../managedidentity, .../containerregistry, and recordings.
"""

from __future__ import annotations

from typing import Any

from .access import RoleAssignment, RoleDefinition, parts
from .directory import moment_text
from .entities import FederatedCredential, Registry, Resource, UserAssignedIdentity, derived


def role_assignment(entity: RoleAssignment) -> dict[str, Any]:
    """A role assignment; the role's id begins with the subscription only where the scope has one."""
    segments = [segment for segment in entity.scope.split("/") if segment]
    prefix = f"/subscriptions/{segments[1]}" if parts(entity.scope)[:1] == ("subscriptions",) else ""
    created = (moment_text(entity.created) or "").replace("Z", ".0000000Z")
    return {
        "properties": {
            "roleDefinitionId": f"{prefix}/providers/Microsoft.Authorization/roleDefinitions/{entity.role}",
            "principalId": entity.principal_id,
            "principalType": entity.principal_type,
            "scope": entity.scope,
            "condition": entity.condition,
            "conditionVersion": entity.condition_version,
            "createdOn": created,
            "updatedOn": created,
            "createdBy": entity.created_by,
            "updatedBy": entity.created_by,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": entity.id,
        "type": "Microsoft.Authorization/roleAssignments",
        "name": entity.name,
    }


def role_definition(entity: RoleDefinition, subscription: str) -> dict[str, Any]:
    """A role as a subscription shows it; without one the id has no prefix."""
    prefix = f"/subscriptions/{subscription}" if subscription else ""
    return {
        "properties": {
            "roleName": entity.name,
            "type": "CustomRole" if entity.custom else "BuiltInRole",
            "description": "",
            "assignableScopes": list(entity.assignable_scopes),
            "permissions": [
                {
                    "actions": list(entity.actions),
                    "notActions": list(entity.not_actions),
                    "dataActions": list(entity.data_actions),
                    "notDataActions": list(entity.not_data_actions),
                }
            ],
            "createdOn": "2018-10-22T19:01:56.8227182Z",
            "updatedOn": "2021-11-11T20:13:08.8779328Z",
            "createdBy": None,
            "updatedBy": None,
        },
        "id": f"{prefix}/providers/Microsoft.Authorization/roleDefinitions/{entity.id}",
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": entity.id,
    }


def user_assigned_identity(entity: UserAssignedIdentity, tenant_id: str) -> dict[str, Any]:
    """A user-assigned managed identity."""
    return {
        "location": entity.location,
        "tags": {},
        "id": entity.id,
        "name": entity.name,
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "properties": {"tenantId": tenant_id, "principalId": entity.principal_id, "clientId": entity.client_id},
    }


def federated_credential(entity: FederatedCredential, identity: UserAssignedIdentity) -> dict[str, Any]:
    """A federated identity credential of an identity; a flexible one has no `subject`."""
    properties: dict[str, Any] = {"issuer": entity.issuer, "audiences": entity.audiences}
    if entity.subject is not None:
        properties["subject"] = entity.subject
    if entity.expression:
        properties["claimsMatchingExpression"] = {"languageVersion": 1, "value": entity.expression}
    return {
        "id": f"{identity.id}/federatedIdentityCredentials/{entity.name}",
        "name": entity.name,
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        "properties": properties,
    }


def registry(entity: Registry, tenant_id: str) -> dict[str, Any]:
    """A container registry."""
    return {
        "type": "Microsoft.ContainerRegistry/registries",
        "id": entity.id,
        "name": entity.name,
        "location": entity.location,
        "tags": {},
        "sku": {"name": "Standard", "tier": "Standard"},
        "properties": {
            "loginServer": f"{entity.name.lower()}.azurecr.io",
            "creationDate": "2024-02-01T09:00:00.0000000Z",
            "provisioningState": "Succeeded",
            "adminUserEnabled": False,
            "anonymousPullEnabled": entity.anonymous,
            "roleAssignmentMode": "AbacRepositoryPermissions" if entity.abac else "LegacyRegistryPermissions",
            "publicNetworkAccess": "Enabled",
        },
    }


def resource(entity: Resource, tenant_id: str) -> dict[str, Any]:
    """Any other resource; a child, as a subnet, has no location of its own."""
    body: dict[str, Any] = {
        "name": entity.name.rpartition("/")[2],
        "id": entity.id,
        "etag": f'W/"{derived(tenant_id, entity.id)}"',
        "type": entity.type,
        "properties": {"provisioningState": "Succeeded", **entity.properties},
    }
    if "/" not in entity.name:
        body["location"] = entity.location
    return body
