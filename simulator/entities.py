"""What is in a tenant: the nouns of Microsoft Graph and of Resource Manager, mutable."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .operation import HANDLED


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
    credentials: list[FederatedCredential] = field(default_factory=list)


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
    enabled: bool = True
    type: str = "Member"
    """Or `Guest`."""


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
    managed_by: str = ""
    """The cluster whose node resource group it is."""

    @property
    def id(self) -> str:
        """The resource id."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.name}"


@dataclass(kw_only=True)
class FederatedCredential:
    """What a user-assigned identity trusts; a flexible one has an expression and no subject."""

    name: str
    issuer: str
    subject: str | None = None
    audiences: list[str] = field(default_factory=lambda: ["api://AzureADTokenExchange"])
    expression: str = ""


@dataclass(kw_only=True)
class UserAssignedIdentity:
    """A user-assigned managed identity."""

    subscription_id: str
    group: str
    name: str
    client_id: str
    principal_id: str
    location: str = "westeurope"
    credentials: list[FederatedCredential] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The resource id as its resource provider writes it, `resourcegroups` in lower case."""
        scope = f"/subscriptions/{self.subscription_id}/resourcegroups/{self.group}"
        return f"{scope}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{self.name}"


@dataclass(kw_only=True)
class Registry:
    """A container registry; on one with `abac` AcrPull gives nothing."""

    subscription_id: str
    group: str
    name: str
    location: str = "westeurope"
    abac: bool = False
    anonymous: bool = False

    @property
    def id(self) -> str:
        """The resource id."""
        scope = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.group}"
        return f"{scope}/providers/Microsoft.ContainerRegistry/registries/{self.name}"


@dataclass(kw_only=True)
class Resource:
    """Any other resource: `type` is as in an id, `Microsoft.Network/routeTables`; a subnet's name is NETWORK/SUBNET."""

    subscription_id: str
    group: str
    type: str
    name: str
    location: str = "westeurope"
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The resource id."""
        provider, *kinds = self.type.split("/")
        pairs = zip(kinds, self.name.split("/"), strict=True)
        path = "/".join(f"{kind}/{name}" for kind, name in pairs)
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.group}/providers/{provider}/{path}"


@dataclass(kw_only=True)
class EventSubscription:
    """Where events of a topic go: `function_id` is SITE/functions/NAME."""

    name: str
    function_id: str
    operations: list[str] = field(default_factory=lambda: sorted(HANDLED))
    state: str = "Succeeded"
    dead_letters: str = ""
    """The id of the storage account that keeps what could not be delivered; empty for none."""


@dataclass(kw_only=True)
class SystemTopic:
    """The topic of a subscription."""

    subscription_id: str
    group: str
    name: str
    source: str = ""
    """The id of what it reports on; empty for its subscription."""
    topic_type: str = "Microsoft.Resources.Subscriptions"
    state: str = "Succeeded"
    subscriptions: list[EventSubscription] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The resource id."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.group}"
        return f"{group}/providers/Microsoft.EventGrid/systemTopics/{self.name}"
