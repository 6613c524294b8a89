"""Managed clusters, with what else AKS makes for one: the nouns of the AKS resource provider, mutable."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field

IMAGE = "AKSUbuntu-2204gen2containerd-202510.19.1"
"""The node image that a pool has until it is upgraded."""


@dataclass(kw_only=True)
class Pool:
    """A node pool; `subnet` is the id of a subnet that was brought along."""

    name: str
    subnet: str = ""
    type: str = "VirtualMachineScaleSets"
    image: str = IMAGE


@dataclass(kw_only=True)
class AddOn:
    """An add-on that is switched on, and the identity that it acts by."""

    resource_id: str
    client_id: str
    object_id: str


@dataclass(kw_only=True)
class Cluster:
    """A managed cluster; `client_id` is the appId it runs on, or `msi`, as in servicePrincipalProfile."""

    subscription_id: str
    group: str
    name: str
    location: str = "westeurope"
    client_id: str = "msi"
    principal_id: str = ""
    identity_client_id: str = ""
    kubelet_client_id: str = ""
    kubelet_object_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "Succeeded"
    power: str = "Running"
    pools: list[Pool] = field(default_factory=lambda: [Pool(name="system")])
    identity: str = ""
    """The id of the user-assigned identity of its control plane; empty for a system-assigned one."""
    kubelet_identity: str = ""
    """The id of the kubelet identity that was brought along; empty for the one that AKS makes."""
    addons: dict[str, AddOn] = field(default_factory=dict)
    outbound_type: str = "loadBalancer"
    network_plugin: str = "azure"
    private: bool = False
    private_dns_zone: str = ""
    """`system`, `none` or the id of a zone."""
    oidc_issuer: bool = False
    workload_identity: bool = False
    pod_identity: bool = False
    own_node_group: str = ""
    """The name of the node resource group, if it is not the one that AKS would give it."""
    life: int = 1
    """Which cluster of this name it is: one that is made anew has another issuer and another identity."""

    @property
    def managed(self) -> bool:
        """Whether it runs on managed identities."""
        return self.client_id.lower() == "msi"

    @property
    def node_group(self) -> str:
        """The name of its node resource group."""
        return self.own_node_group or f"MC_{self.group}_{self.name}_{self.location}"

    @property
    def node_group_id(self) -> str:
        """The id of its node resource group."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.node_group}"

    @property
    def kubelet_id(self) -> str:
        """The id of the kubelet identity as the AKS resource provider writes it."""
        made = f"{self.node_group_id.replace('resourceGroups', 'resourcegroups')}/providers/Microsoft.ManagedIdentity"
        return self.kubelet_identity or f"{made}/userAssignedIdentities/{self.name}-agentpool"

    @property
    def mark(self) -> str:
        """Hexadecimal digits that only this cluster has."""
        text = self.id if self.life == 1 else f"{self.id} {self.life}"
        return hashlib.sha256(text.encode()).hexdigest()

    def issuer(self, tenant_id: str) -> str:
        """The issuer of its service account tokens."""
        mark = uuid.UUID(self.mark[:32])
        return f"https://{self.location}.oic.prod-aks.azure.com/{tenant_id}/{mark}/"

    @property
    def id(self) -> str:
        """The resource id as the AKS resource provider writes it, `resourcegroups` in lower case."""
        scope = f"/subscriptions/{self.subscription_id}/resourcegroups/{self.group}"
        return f"{scope}/providers/Microsoft.ContainerService/managedClusters/{self.name}"
