"""ARM resources as the services send them, casing included.

Shapes: https://learn.microsoft.com/rest/api/aks/managed-clusters/list and /rest/api/resources, and recorded answers.
"""

from __future__ import annotations

from typing import Any

from .clusters import AddOn, Cluster, Pool
from .entities import ResourceGroup, Subscription
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
        "id": entity.id,
        "name": entity.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": entity.location,
        "properties": {"provisioningState": "Succeeded"},
    }
    if entity.managed_by:
        body["managedBy"] = entity.managed_by
    if entity.tags:
        body["tags"] = entity.tags
    return body


def managed_cluster(entity: Cluster, tenant_id: str) -> dict[str, Any]:
    """A cluster; one on a service principal has no `identity`, a failed one no `identityProfile`, as recorded."""
    mark = entity.mark
    host = f"{entity.name}-dns-{mark[:8]}"
    properties: dict[str, Any] = {
        "provisioningState": entity.state,
        "powerState": {"code": entity.power},
        "kubernetesVersion": VERSION,
        "currentKubernetesVersion": VERSION,
        "dnsPrefix": f"{entity.name}-dns",
        "fqdn": f"{host}.hcp.{entity.location}.azmk8s.io",
        "azurePortalFQDN": f"{host}.portal.hcp.{entity.location}.azmk8s.io",
        "agentPoolProfiles": [_pool(entity, pool, first=not n) for n, pool in enumerate(entity.pools)],
        "servicePrincipalProfile": {"clientId": entity.client_id},
        "addonProfiles": {
            "azureKeyvaultSecretsProvider": {"enabled": False, "config": None},
            "azurepolicy": {"enabled": False, "config": None},
            **{name: _addon(addon) for name, addon in entity.addons.items()},
        },
        "nodeResourceGroup": entity.node_group,
        "enableRBAC": True,
        "supportPlan": "KubernetesOfficial",
        "networkProfile": {
            "networkPlugin": entity.network_plugin,
            "networkDataplane": "azure",
            "loadBalancerSku": "Standard",
            "serviceCidr": "10.0.0.0/16",
            "dnsServiceIP": "10.0.0.10",
            "outboundType": entity.outbound_type,
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
        "oidcIssuerProfile": {"enabled": entity.oidc_issuer},
        "workloadAutoScalerProfile": {},
        "resourceUID": mark[:24],
    }
    if entity.outbound_type == "loadBalancer":
        balancer = {"managedOutboundIPs": {"count": 1}, "backendPoolType": "nodeIPConfiguration"}
        properties["networkProfile"]["loadBalancerProfile"] = balancer
    if entity.oidc_issuer:
        properties["oidcIssuerProfile"]["issuerURL"] = entity.issuer(tenant_id)
    if entity.workload_identity:
        properties["securityProfile"]["workloadIdentity"] = {"enabled": True}
    if entity.pod_identity:
        properties["podIdentityProfile"] = {"enabled": True, "userAssignedIdentities": []}
    if entity.private:
        zone = entity.private_dns_zone or "system"
        properties["apiServerAccessProfile"] = {"enablePrivateCluster": True, "privateDNSZone": zone}
    if entity.managed and entity.state != "Failed":
        properties["identityProfile"] = {
            "kubeletidentity": {
                "resourceId": entity.kubelet_id,
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
    if entity.managed and entity.identity:
        # No principalId beside it: https://learn.microsoft.com/azure/aks/use-managed-identity
        one = {"clientId": entity.identity_client_id, "principalId": entity.principal_id}
        body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {entity.identity: one}}
    elif entity.managed:
        body["identity"] = {"type": "SystemAssigned", "principalId": entity.principal_id, "tenantId": tenant_id}
    if entity.tags:
        body["tags"] = entity.tags
    return body


def _addon(addon: AddOn) -> dict[str, Any]:
    identity = {"resourceId": addon.resource_id, "clientId": addon.client_id, "objectId": addon.object_id}
    return {"enabled": True, "config": {}, "identity": identity}


def _pool(entity: Cluster, pool: Pool, *, first: bool) -> dict[str, Any]:
    body = {
        "name": pool.name,
        "count": 3,
        "vmSize": "Standard_D4ds_v5",
        "osDiskSizeGB": 128,
        "osDiskType": "Ephemeral",
        "kubeletDiskType": "OS",
        "maxPods": 110,
        "type": pool.type,
        "enableAutoScaling": False,
        "provisioningState": entity.state,
        "powerState": {"code": entity.power},
        "orchestratorVersion": VERSION,
        "currentOrchestratorVersion": VERSION,
        "enableNodePublicIP": False,
        "mode": "System" if first else "User",
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "nodeImageVersion": pool.image,
        "enableFIPS": False,
    }
    if pool.subnet:
        body["vnetSubnetID"] = pool.subnet
    return body
