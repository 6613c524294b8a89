"""What a scan sees of a tenant: frozen records, no I/O, Graph's and ARM's own nouns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

from .access import Access
from .access import UserAssignedIdentity as UserAssignedIdentity
from .scope import TENANT as TENANT
from .scope import covers as covers
from .scope import overlap as overlap

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands for the end of a credential that has none, where an end has to be written down."""


class Severity(IntEnum):
    """How bad a finding is; ordered, so that two can be compared."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def label(self) -> str:
        """The lower-case word used in settings, tables and reports."""
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Severity:
        """The severity of that name; raises ValueError for any other text."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            raise ValueError(f"{text!r} is no severity: info, warning or critical") from None


class CredentialKind(StrEnum):
    """What a credential is; Graph keeps the two kinds in two lists."""

    SECRET = "secret"  # noqa: S105  # nosec B105
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A passwordCredential or keyCredential; dates are UTC, `end` is None if it never ends.

    Source: https://learn.microsoft.com/graph/api/resources/passwordcredential and keycredential.
    """

    kind: CredentialKind
    key_id: str
    name: str = ""
    start: datetime | None = None
    end: datetime | None = None
    custom_id: str = ""
    """customKeyIdentifier as sent; the hex thumbprint of a certificate, or any text."""
    usage: str = ""
    """`Sign` or `Verify` of a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who is responsible: an Entra principal (object id, perhaps name and address) or a tag's text."""

    object_id: str = ""
    name: str = ""
    mail: str = ""
    source: str = ""
    """Where it was read: `application`, `service principal` or `tag NAME of RESOURCE`."""
    member: bool = False
    """Whether this scan read an enabled member of the tenant: only such a person may be mentioned."""

    @property
    def label(self) -> str:
        """The best available text for a person to recognise this owner by."""
        return self.name or self.mail or self.object_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An Entra app registration with its credentials."""

    object_id: str
    app_id: str
    name: str = ""
    credentials: tuple[Credential, ...] = ()
    disabled: str = ""
    """disabledByMicrosoftStatus, if Microsoft disabled it."""

    @property
    def id(self) -> str:
        """A path of Graph, used as the resource id of findings."""
        return f"/applications/{self.object_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePrincipal:
    """An enterprise application: an app's identity in this tenant, with credentials of its own."""

    object_id: str
    app_id: str
    name: str = ""
    type: str = "Application"
    enabled: bool = True
    owner_tenant: str = ""
    """appOwnerOrganizationId: the tenant that holds the application object."""
    credentials: tuple[Credential, ...] = ()
    disabled: str = ""

    @property
    def id(self) -> str:
        """A path of Graph, used as the resource id of findings."""
        return f"/servicePrincipals/{self.object_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedApplication:
    """An application or service principal in Entra's recycle bin, where it stays for 30 days.

    Source: https://learn.microsoft.com/graph/api/directory-deleteditems-list.
    """

    object_id: str
    app_id: str
    deleted: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """An Azure subscription that the app may read."""

    subscription_id: str
    name: str = ""
    tenant_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its ARM resource id."""
        return f"/subscriptions/{self.subscription_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePool:
    """An agent pool of a cluster."""

    name: str
    type: str = ""
    """`VirtualMachineScaleSets`, `VirtualMachines` or `AvailabilitySet`."""
    subnet_id: str = ""
    """A subnet that was brought along; empty when AKS made the network."""
    image: str = ""
    """nodeImageVersion: what its nodes run; another one means that they were made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedCluster:
    """An AKS cluster; `client_id` is empty when it runs on a managed identity."""

    id: str
    name: str
    resource_group: str
    subscription_id: str
    location: str = ""
    client_id: str = ""
    node_pools: tuple[str, ...] = ()
    provisioning_state: str = ""
    power_state: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    identity_type: str = ""
    """`SystemAssigned`, `UserAssigned` or `None`; empty on a service-principal cluster."""
    principal_id: str = ""
    """Object id of a system-assigned identity; ARM leaves it out for a user-assigned one."""
    identities: tuple[UserAssignedIdentity, ...] = ()
    """User-assigned identities of the control plane, as the cluster shows them."""
    kubelet: UserAssignedIdentity | None = None
    """None: the cluster shows none (service principal, or it failed), which does not mean that it has none."""
    addons: Mapping[str, UserAssignedIdentity] = field(default_factory=dict)
    """Identities of add-ons by the add-on's name."""
    tenant_id: str = ""
    node_resource_group: str = ""
    pools: tuple[NodePool, ...] = ()
    network_plugin: str = ""
    outbound_type: str = ""
    private: bool = False
    """Whether the API server has a private address only."""
    private_dns_zone: str = ""
    """`system`, `none` or the id of a zone that was brought along."""
    oidc_issuer: str = ""
    """Empty when the cluster issues no tokens for workload identities."""
    idle_issuer: str = ""
    """An issuer that the cluster shows although it is switched off."""
    workload_identity: bool = False
    """Whether the webhook that hands those tokens to pods is on."""
    pod_identity: bool = False
    """Whether the retired pod-managed identity add-on is on."""
    sku: str = ""
    """`Base` or `Automatic`."""
    node_provisioning: str = ""
    """`Auto` when the cluster makes virtual machines by itself instead of scaling its pools."""

    @property
    def node_group_id(self) -> str:
        """The ARM id of the resource group that holds the nodes; empty if the cluster shows none."""
        if not self.node_resource_group:
            return ""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.node_resource_group}"


SIGNED_OUT = "no token: "
"""How a reason begins where there was no token to read with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something that could not be read, and why: a value, never an empty list."""

    kind: type
    """The record type that is missing."""
    scope: str
    """The resource path it is missing from; TENANT for all of Entra."""
    reason: str
    permission: str = ""
    """The permission that would mend it, by name; empty if the fault is another one."""
    passing: bool = False
    """Whether the same read may succeed the next time (a fault, not a refusal)."""

    @property
    def place(self) -> str:
        """The subscription that it lies in, or its own scope above one: hundreds of single resources are one gap."""
        segments = self.scope.split("/")
        return "/".join(segments[:3]) if segments[1:2] and segments[1].lower() == "subscriptions" else self.scope

    @property
    def key(self) -> str:
        """What makes two unread sources of two scans the same one."""
        return f"{self.kind.__name__} {self.place.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A receiver that refused a card for good and has taken none since."""

    receiver: str
    """The team, or empty for the fallback."""
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The numbers that rules compare with, from Settings."""

    notice_days: tuple[int, ...] = (60, 30, 14, 7, 3, 1)
    """Descending tiers, in days before an end."""
    ended: timedelta = timedelta(days=30)
    """How long past its end a credential is still a problem and not a leftover."""

    grace: timedelta = timedelta(minutes=5)
    """How long after a loss it is first told; what is undone meanwhile never is."""

    @property
    def window(self) -> timedelta:
        """How long before an end a credential is first reported."""
        return timedelta(days=max(self.notice_days))


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """An event that could not be understood and was set aside."""

    received: datetime
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSubscription:
    """Where the events of a subscription's system topic go, if that is a function.

    Source: https://learn.microsoft.com/rest/api/eventgrid/controlplane/system-topic-event-subscriptions.
    """

    id: str
    function_id: str
    """`SITE/functions/NAME`; empty for another destination."""
    state: str = ""
    """provisioningState: nothing is delivered through one that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A principal that a cluster acted as until another one took its place."""

    identity: str
    """`cluster` or `kubelet`."""
    principal_id: str
    """Lower-case object id of the old one."""
    since: datetime
    """Start of the scan that first saw the new one, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What scans saw of a cluster before, as far as it matters after a change (shared/former.py)."""

    principals: Mapping[str, str] = field(default_factory=dict)
    """Lower-case object ids by `cluster` and `kubelet`, as last seen."""
    replaced: tuple[Replaced, ...] = ()
    """The ones before, until the new one holds what they held."""
    client_id: str = ""
    """The service principal that it runs on, or ran on before it was converted."""
    service_principal: str = ""
    """The lower-case object id of that one."""
    converted: datetime | None = None
    """Start of the scan that first saw it on a managed identity, UTC."""
    images: Mapping[str, str] = field(default_factory=dict)
    """The node image of each pool, as last seen on the service principal."""
    issuers: tuple[str, ...] = ()
    """Its OIDC issuers, the newest last."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """All that one scan read of a tenant, and all that it could not read; compared by identity."""

    taken: datetime
    tenant_id: str
    thresholds: Thresholds = Thresholds()
    subscriptions: tuple[Subscription, ...] = ()
    clusters: tuple[ManagedCluster, ...] = ()
    applications: tuple[Application, ...] = ()
    """Only those near an end, behind a cluster, or with an open finding."""
    service_principals: tuple[ServicePrincipal, ...] = ()
    """As applications; those of managed identities are left out."""
    deleted: tuple[DeletedApplication, ...] = ()
    """Entra's recycle bin, as far as clusters depend on it."""
    access: Access = Access()
    """Who may do what, as far as clusters depend on it."""
    known: frozenset[str] = frozenset()
    """App ids behind clusters that an earlier scan saw alive."""
    former: Mapping[str, Former] = field(default_factory=dict)
    """What was seen of each cluster until now, by its lower-case id."""
    named: bool = False
    """Whether SUBSCRIPTIONS names what is watched, so that there may be other clusters."""
    function_app_id: str = ""
    """The resource id of this app; empty if the settings do not say it."""
    event_subscriptions: tuple[EventSubscription, ...] = ()
    owners: Mapping[str, tuple[Owner, ...]] = field(default_factory=dict)
    """Graph owners by resource id, of the applications and service principals that were asked for."""
    refusals: tuple[Refusal, ...] = ()
    """Receivers of these settings that refuse cards."""
    aside: tuple[Aside, ...] = ()
    unread: tuple[Unread, ...] = ()
    unread_before: frozenset[str] = frozenset()
    """Keys of what the scan before this one could not read."""
    unread_unnamed: bool = False
    """Whether there were more of them than its row could name; then any may have been."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many of each were read: applications, service_principals, subscriptions, clusters."""
