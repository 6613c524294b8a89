"""What is read, under which permission, and the command that grants it: one table for clients, findings and preflight.

docs/permissions.md says the same for people. Ids of Graph's permissions:
https://learn.microsoft.com/graph/permissions-reference.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from .access import (
    Deletion,
    FederatedIdentityCredential,
    Membership,
    Registry,
    RoleAssignment,
    RoleDefinition,
    Subnet,
    UserAssignedIdentity,
)
from .findings import Finding
from .model import (
    TENANT,
    Application,
    DeletedApplication,
    EventSubscription,
    ManagedCluster,
    Owner,
    ServicePrincipal,
    Subscription,
    Unread,
)
from .rule import Rule


class Service(StrEnum):
    """Who is asked."""

    ARM = "Azure Resource Manager"
    GRAPH = "Microsoft Graph"
    STORAGE = "Table Storage"


READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
TABLE_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
_GRAPH_APP = "00000003-0000-0000-c000-000000000000"
"""The app id of Microsoft Graph, the same in every tenant."""
_APP_ROLES = {
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.ReadBasic.All": "97235f07-e226-4f63-ace3-39588e11d3a1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that is read, and what it takes."""

    kind: type
    """The record type that is missing where it cannot be read."""
    name: str
    service: Service
    needs: str
    """The action of Azure, or the application permission of Graph."""
    told_as: str
    """What a finding calls it: several sources may be one for a person."""
    without: str = ""
    """What is lost without it, if that is no rule."""

    @property
    def role(self) -> str:
        """The role or permission that gives it, by name."""
        names = {Service.ARM: "Reader", Service.STORAGE: "Storage Table Data Contributor"}
        return names.get(self.service, self.needs)

    @property
    def permission(self) -> str:
        """What would mend a refusal, as findings name it."""
        if self.service is Service.GRAPH:
            return f"{self.needs} (Microsoft Graph, application permission)"
        return f"{self.role} ({self.needs})"

    def command(self, principal_id: str, scope: str, graph: str = "https://graph.microsoft.com") -> str:
        """The az command that grants it to an identity; for storage, `scope` is the name of the account."""
        if self.service is Service.GRAPH:
            # A managed identity has no application object, so `az ad app permission` cannot do it.
            body = (
                f'{{"principalId": "{principal_id}", "resourceId": "$GRAPH", "appRoleId": "{_APP_ROLES[self.needs]}"}}'
            )
            quoted = body.replace('"', '\\"')
            return (
                f"GRAPH=$(az ad sp show --id {_GRAPH_APP} --query id --output tsv)\n"
                f"az rest --method post --url {graph}/v1.0/servicePrincipals/{shlex.quote(principal_id)}"
                f'/appRoleAssignments --body "{quoted}"'
            )
        role, where = READER, shlex.quote(scope)
        if self.service is Service.STORAGE:
            role = TABLE_CONTRIBUTOR
            where = f'"$(az storage account show --name {shlex.quote(scope)} --query id --output tsv)"'
        return (
            f"az role assignment create --assignee-object-id {shlex.quote(principal_id)} --assignee-principal-type "
            f"ServicePrincipal --role {role} --scope {where}"
        )


def _arm(kind: type, name: str, action: str, without: str = "") -> Source:
    told_as = {Owner: "Owners", FederatedIdentityCredential: "Federated credentials"}.get(kind, name)
    return Source(kind=kind, name=name, service=Service.ARM, needs=action, told_as=told_as, without=without)


def _graph(
    kind: type, name: str, needs: str = "Application.Read.All", told_as: str = "Microsoft Graph", without: str = ""
) -> Source:
    return Source(kind=kind, name=name, service=Service.GRAPH, needs=needs, told_as=told_as, without=without)


SUBSCRIPTIONS = _arm(Subscription, "Azure subscriptions", "Microsoft.Resources/subscriptions/read")
CLUSTERS = _arm(ManagedCluster, "AKS clusters", "Microsoft.ContainerService/managedClusters/read")
TAGS = _arm(
    Owner,
    "Tags of resource groups",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "owners and teams that only a resource group's tags name: those cards go to the fallback",
)
ASSIGNMENTS = _arm(RoleAssignment, "Role assignments", "Microsoft.Authorization/roleAssignments/read")
DEFINITIONS = _arm(RoleDefinition, "Role definitions", "Microsoft.Authorization/roleDefinitions/read")
IDENTITIES = _arm(UserAssignedIdentity, "Managed identities", "Microsoft.ManagedIdentity/userAssignedIdentities/read")
FEDERATED = _arm(
    FederatedIdentityCredential,
    "Federated credentials of identities",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read",
)
REGISTRIES = _arm(Registry, "Container registries", "Microsoft.ContainerRegistry/registries/read")
SUBNETS = _arm(Subnet, "Subnets", "Microsoft.Network/virtualNetworks/subnets/read")
ACTIVITY = _arm(
    Deletion, "Activity log", "Microsoft.Insights/eventtypes/values/read", "who removed a role assignment is not said"
)
TOPICS = replace(
    _arm(EventSubscription, "System topics", "Microsoft.EventGrid/systemTopics/read"), told_as="Event subscriptions"
)
SUBSCRIBED = _arm(EventSubscription, "Event subscriptions", "Microsoft.EventGrid/systemTopics/eventSubscriptions/read")
APPLICATIONS = _graph(Application, "Applications")
PRINCIPALS = _graph(ServicePrincipal, "Service principals")
DELETED = _graph(DeletedApplication, "Recycle bin of Entra")
OWNERS = _graph(Owner, "Owners of applications", told_as="Owners")
TRUSTED = _graph(FederatedIdentityCredential, "Federated credentials of applications", told_as="Federated credentials")
MEMBERSHIPS = _graph(Membership, "Group memberships")
NAMES = _graph(Owner, "Owners' names", "User.ReadBasic.All", "Owners", "cards show owners as ids")
USERS = _graph(Owner, "Owners' accounts", "User.Read.All", "Owners", "nobody is mentioned on a card")
TABLES = Source(
    kind=Finding,
    name="Own tables",
    service=Service.STORAGE,
    needs="Microsoft.Storage/storageAccounts/tableServices/tables/entities/*",
    told_as="Own tables",
    without="nothing is kept, so nothing is announced",
)
SOURCES = (
    *(SUBSCRIPTIONS, CLUSTERS, TAGS, ASSIGNMENTS, DEFINITIONS, IDENTITIES, FEDERATED, REGISTRIES, SUBNETS, ACTIVITY),
    *(TOPICS, SUBSCRIBED),
    *(APPLICATIONS, PRINCIPALS, DELETED, OWNERS, TRUSTED, MEMBERSHIPS, NAMES, USERS, TABLES),
)


def told_as(kind: type) -> str:
    """What a finding calls the source of a record type."""
    return next((one.told_as for one in SOURCES if one.kind is kind), kind.__name__)


def named(unread: Unread) -> str:
    """What a person calls that which could not be read."""
    found = [one for one in SOURCES if one.kind is unread.kind]
    # Some record types come from several sources: a refusal says from which one, or else the place does.
    refused = [one for one in found if one.permission == unread.permission]
    there = [one for one in found if (one.service is Service.GRAPH) == (unread.scope == TENANT)]
    names = {one.name for one in refused or there or found}
    return names.pop() if len(names) == 1 else told_as(unread.kind)


def blind(source: Source, rules: Iterable[Rule]) -> tuple[str, ...]:
    """The rules that cannot judge without a source; without storage no finding is kept, so no rule has a voice."""
    if source is TABLES:
        return tuple(one.id for one in rules)
    if source in (TAGS, NAMES, USERS):
        # Owners as they are shown on cards; which applications have none is asked elsewhere.
        return ()
    return tuple(one.id for one in rules if source.kind in (*one.reads, *one.absence))
