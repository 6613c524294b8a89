"""What is in a tenant: the nouns of Microsoft Graph and of Resource Manager, mutable."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime


def derived(tenant_id: str, *names: str) -> str:
    """A GUID that depends on the names alone, so that tenant files need not spell any."""
    return str(uuid.uuid5(uuid.UUID(tenant_id), " ".join(names)))


@dataclass(kw_only=True)
class Secret:
    """A passwordCredential; `end` is None for one that never ends."""

    key_id: str
    start: datetime
    end: datetime | None
    name: str | None = None
    hint: str = "xY8"
    custom_id: str | None = None


@dataclass(kw_only=True)
class Certificate:
    """A keyCredential; `thumbprint` is what Graph sends as customKeyIdentifier."""

    key_id: str
    start: datetime
    end: datetime | None
    name: str | None = None
    thumbprint: str | None = None
    usage: str = "Verify"


@dataclass(kw_only=True)
class Application:
    """An app registration; `owners` are object ids of users or service principals."""

    id: str
    app_id: str
    name: str | None
    created: datetime
    secrets: list[Secret] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    audience: str = "AzureADMyOrg"
    disabled: str | None = None


@dataclass(kw_only=True)
class ServicePrincipal:
    """An enterprise application or a managed identity (`type` ManagedIdentity, `resource_id` of what it belongs to)."""

    id: str
    app_id: str
    name: str | None
    created: datetime
    type: str = "Application"
    enabled: bool = True
    owner_tenant: str | None = None
    resource_id: str = ""
    sign_on: str | None = None
    secrets: list[Secret] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    disabled: str | None = None


@dataclass(kw_only=True)
class User:
    """A person, as far as Graph shows one who owns something."""

    id: str
    name: str
    upn: str


@dataclass(kw_only=True)
class Subscription:
    """A subscription; one that is not `readable` is left out of the listing and answers 403."""

    id: str
    name: str
    state: str = "Enabled"
    tags: dict[str, str] = field(default_factory=dict)
    readable: bool = True


@dataclass(kw_only=True)
class ResourceGroup:
    """A resource group and its tags."""

    subscription_id: str
    name: str
    location: str = "westeurope"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Cluster:
    """A managed cluster; `client_id` is the appId it runs on, or `msi`, as in servicePrincipalProfile."""

    subscription_id: str
    group: str
    name: str
    location: str = "westeurope"
    client_id: str = "msi"
    principal_id: str = ""
    kubelet_client_id: str = ""
    kubelet_object_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "Succeeded"
    power: str = "Running"
    pools: list[str] = field(default_factory=lambda: ["system"])

    @property
    def id(self) -> str:
        """The resource id as the AKS resource provider writes it, `resourcegroups` in lower case."""
        scope = f"/subscriptions/{self.subscription_id}/resourcegroups/{self.group}"
        return f"{scope}/providers/Microsoft.ContainerService/managedClusters/{self.name}"
