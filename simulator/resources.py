"""ARM resources as the services send them, casing included.

Shapes: https://learn.microsoft.com/rest/api/aks/managed-clusters/list and /rest/api/resources, and recorded answers.
"""

from __future__ import annotations

import hashlib
from typing import Any

from .entities import Cluster, ResourceGroup, Subscription
from .tenant import Tenant

VERSION = "1.33.4"


def tenant(entity: Tenant) -> dict[str, Any]:
    """A tenant, as https://learn.microsoft.com/rest/api/resources/tenants/list has it."""
    return {
        "id": f"/tenants/{entity.id}",
        "tenantId": entity.id,
        "countryCode": "NL",
        "displayName": entity.name,
        "domains": [entity.domain],
        "tenantCategory": "Home",
        "defaultDomain": entity.domain,
        "tenantType": "AAD",
    }


def subscription(entity: Subscription, tenant_id: str) -> dict[str, Any]:
    """A subscription; `tags` is absent when there are none."""
    body: dict[str, Any] = {
        "id": f"/subscriptions/{entity.id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": entity.id,
        "tenantId": tenant_id,
        "displayName": entity.name,
        "state": entity.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
    }
    if entity.tags:
        body["tags"] = entity.tags
    return body


def resource_group(entity: ResourceGroup) -> dict[str, Any]:
    """A resource group; `tags` is absent when there are none."""
    body: dict[str, Any] = {
        "id": f"/subscriptions/{entity.subscription_id}/resourceGroups/{entity.name}",
        "name": entity.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": entity.location,
        "properties": {"provisioningState": "Succeeded"},
    }
    if entity.tags:
        body["tags"] = entity.tags
    return body


def managed_cluster(entity: Cluster, tenant_id: str) -> dict[str, Any]:
    """A cluster; one on a service principal has no `identity`, a failed one no `identityProfile`, as recorded."""
    mark = hashlib.sha256(entity.id.encode()).hexdigest()
    managed = entity.client_id.lower() == "msi"
    node_group = f"MC_{entity.group}_{entity.name}_{entity.location}"
    host = f"{entity.name}-dns-{mark[:8]}"
    properties: dict[str, Any] = {
        "provisioningState": entity.state,
        "powerState": {"code": entity.power},
        "kubernetesVersion": VERSION,
        "currentKubernetesVersion": VERSION,
        "dnsPrefix": f"{entity.name}-dns",
        "fqdn": f"{host}.hcp.{entity.location}.azmk8s.io",
        "azurePortalFQDN": f"{host}.portal.hcp.{entity.location}.azmk8s.io",
        "agentPoolProfiles": [_pool(entity, name, first=not n) for n, name in enumerate(entity.pools)],
        "servicePrincipalProfile": {"clientId": entity.client_id},
        "addonProfiles": {
            "azureKeyvaultSecretsProvider": {"enabled": False, "config": None},
            "azurepolicy": {"enabled": False, "config": None},
        },
        "nodeResourceGroup": node_group,
        "enableRBAC": True,
        "supportPlan": "KubernetesOfficial",
        "networkProfile": {
            "networkPlugin": "azure",
            "networkDataplane": "azure",
            "loadBalancerSku": "Standard",
            "loadBalancerProfile": {"managedOutboundIPs": {"count": 1}, "backendPoolType": "nodeIPConfiguration"},
            "serviceCidr": "10.0.0.0/16",
            "dnsServiceIP": "10.0.0.10",
            "outboundType": "loadBalancer",
            "serviceCidrs": ["10.0.0.0/16"],
            "ipFamilies": ["IPv4"],
        },
        "maxAgentPools": 100,
        "autoUpgradeProfile": {"upgradeChannel": "patch", "nodeOSUpgradeChannel": "NodeImage"},
        "disableLocalAccounts": False,
        "securityProfile": {},
        "storageProfile": {
            "diskCSIDriver": {"enabled": True},
            "fileCSIDriver": {"enabled": True},
            "snapshotController": {"enabled": True},
        },
        "oidcIssuerProfile": {"enabled": False},
        "workloadAutoScalerProfile": {},
        "resourceUID": mark[:24],
    }
    if managed and entity.state != "Failed":
        properties["identityProfile"] = {
            "kubeletidentity": {
                "resourceId": f"/subscriptions/{entity.subscription_id}/resourcegroups/{node_group}/providers/"
                f"Microsoft.ManagedIdentity/userAssignedIdentities/{entity.name}-agentpool",
                "clientId": entity.kubelet_client_id,
                "objectId": entity.kubelet_object_id,
            }
        }
    body: dict[str, Any] = {
        "id": entity.id,
        "location": entity.location,
        "name": entity.name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "properties": properties,
        "sku": {"name": "Base", "tier": "Standard"},
    }
    if managed:
        body["identity"] = {"type": "SystemAssigned", "principalId": entity.principal_id, "tenantId": tenant_id}
    if entity.tags:
        body["tags"] = entity.tags
    return body


def _pool(entity: Cluster, name: str, *, first: bool) -> dict[str, Any]:
    return {
        "name": name,
        "count": 3,
        "vmSize": "Standard_D4ds_v5",
        "osDiskSizeGB": 128,
        "osDiskType": "Ephemeral",
        "kubeletDiskType": "OS",
        "maxPods": 110,
        "type": "VirtualMachineScaleSets",
        "enableAutoScaling": False,
        "provisioningState": entity.state,
        "powerState": {"code": entity.power},
        "orchestratorVersion": VERSION,
        "currentOrchestratorVersion": VERSION,
        "enableNodePublicIP": False,
        "mode": "System" if first else "User",
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202510.19.1",
        "enableFIPS": False,
    }
