"""The state of a simulated tenant: what is in it today, and what is still to happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from .access import Access
from .clusters import Cluster
from .entities import (
    Application,
    Registry,
    Resource,
    ResourceGroup,
    ServicePrincipal,
    Subscription,
    SystemTopic,
    User,
    UserAssignedIdentity,
)
from .equipment import equip
from .operation import Caller, Operation
from .told import Story

if TYPE_CHECKING:
    from .steps import Step
    from .story import Expected, Impact, Pause

PERMISSIONS = frozenset({"Application.Read.All", "User.ReadBasic.All"})
"""The Graph application permissions that the watching identity holds unless a test takes them away."""


Entity = TypeVar("Entity", bound=Application | ServicePrincipal)
Member = TypeVar("Member", bound=Application | ServicePrincipal, covariant=True)


@dataclass(kw_only=True)
class Deleted:
    """An application or service principal in the recycle bin."""

    entity: Application | ServicePrincipal
    at: datetime


class Crowd(Protocol[Member]):
    """Any number of generated objects that exist only while they are looked at (generate.py)."""

    count: int

    def item(self, index: int) -> Member:
        """The object at an index, made anew."""

    def index_of(self, guid: str) -> int | None:
        """The index of the object with this id or appId, read out of the GUID."""


class Objects(Generic[Entity]):
    """A collection as Graph lists it: a generated crowd first, then the objects that were added by hand."""

    def __init__(self, crowd: Crowd[Entity] | None = None) -> None:
        self.crowd = crowd
        self.own: list[Entity] = []
        self.changed: dict[int, Entity | None] = {}
        """Members of the crowd that somebody looked up, and so may have changed; None for removed ones."""

    @property
    def crowded(self) -> int:
        """How many places of the listing belong to the crowd."""
        return self.crowd.count if self.crowd else 0

    @property
    def places(self) -> int:
        """The length of the listing, places of removed members of the crowd included."""
        return self.crowded + len(self.own)

    def __len__(self) -> int:
        return self.places - sum(entity is None for entity in self.changed.values())

    def __iter__(self) -> Iterator[Entity]:
        for index in range(self.crowded):
            entity = self._member(index)
            if entity is not None:
                yield entity
        yield from self.own

    def append(self, entity: Entity) -> None:
        """Add an object at the end of the listing."""
        self.own.append(entity)

    def remove(self, entity: Entity) -> None:
        """Take an object out of the listing."""
        index = self.crowd.index_of(entity.id) if self.crowd else None
        if index is None:
            self.own.remove(entity)
        else:
            self.changed[index] = None

    def find(self, guid: str) -> Entity | None:
        """The object with this id or appId; what is found may be changed, and the listing shows it."""
        guid = guid.lower()
        index = self.crowd.index_of(guid) if self.crowd else None
        if self.crowd and index is not None:
            if index not in self.changed:
                self.changed[index] = self.crowd.item(index)
            return self.changed[index]
        return next((entity for entity in self.own if guid in (entity.id.lower(), entity.app_id.lower())), None)

    def peek(self, guid: str) -> Entity | None:
        """As find, for a look that changes nothing: pages with this object stay cached."""
        index = self.crowd.index_of(guid.lower()) if self.crowd else None
        return self._member(index) if index is not None else self.find(guid)

    def _member(self, index: int) -> Entity | None:
        assert self.crowd
        return self.changed[index] if index in self.changed else self.crowd.item(index)


@dataclass(kw_only=True)
class Tenant:
    """Everything in one Entra tenant and its subscriptions, and the story of what happens to it."""

    id: str
    name: str
    domain: str
    starts: datetime
    teams: list[str] = field(default_factory=list)
    permissions: set[str] = field(default_factory=lambda: set(PERMISSIONS))
    users: list[User] = field(default_factory=list)
    applications: Objects[Application] = field(default_factory=Objects)
    service_principals: Objects[ServicePrincipal] = field(default_factory=Objects)
    deleted: list[Deleted] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    groups: list[ResourceGroup] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    identities: list[UserAssignedIdentity] = field(default_factory=list)
    registries: list[Registry] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    """Subnets, route tables, NAT gateways, private DNS zones and whatever else only has to be there."""
    topics: list[SystemTopic] = field(default_factory=list)
    access: Access = field(default_factory=Access)
    log: list[Operation] = field(default_factory=list)
    """What was changed through Resource Manager, the oldest first."""
    steps: list[Step] = field(default_factory=list)
    """What is still to happen, the earliest first."""
    pauses: list[Pause] = field(default_factory=list)
    """When the story wants no scan to run."""
    story: Story = field(default_factory=Story)
    """What the demo has to tell."""
    expected: list[Expected] = field(default_factory=list)
    impacts: list[Impact] = field(default_factory=list)
    """Which role assignments something rests on, at moments of the story."""
    keys: dict[str, str] = field(default_factory=dict)
    """Object ids by the name that the tenant file uses for them, `application NAME` and so on."""

    def application(self, name: str) -> Application:
        """The application of that name in the tenant file, or of that display name, id or appId."""
        return _found(name, self.applications, self.keys.get(f"application {name}"))

    def service_principal(self, name: str) -> ServicePrincipal:
        """The service principal of that name in the tenant file, or of that display name, id or appId."""
        return _found(name, self.service_principals, self.keys.get(f"service_principal {name}"))

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name."""
        return _one(name, (cluster for cluster in self.clusters if cluster.name == name))

    def subscription(self, name: str) -> Subscription:
        """The subscription of that name or id."""
        return _one(name, (one for one in self.subscriptions if name in (one.name, one.id)))

    def user(self, name: str) -> User:
        """The user of that name or id."""
        return _one(name, (user for user in self.users if name in (user.name, user.id)))

    def delete(self, entity: Application | ServicePrincipal, at: datetime) -> None:
        """Move an object to the recycle bin; an application takes its service principal along, as in Entra."""
        self.deleted.append(Deleted(entity=entity, at=at))
        if isinstance(entity, ServicePrincipal):
            self.service_principals.remove(entity)
            return
        self.applications.remove(entity)
        principal = self.service_principals.find(entity.app_id)
        if principal:
            self.delete(principal, at)

    def convert(self, cluster: Cluster, at: datetime) -> None:
        """Put a cluster on managed identities, as `az aks update --enable-managed-identity` does."""
        cluster.client_id = "msi"
        equip(self, cluster, at)

    def caller(self, name: str) -> Caller:
        """Who does something in Azure: a person by name, id or address, or an app by name, id or appId."""
        for user in self.users:
            if name in (user.name, user.id, user.upn):
                return Caller(id=user.id, name=user.name, upn=user.upn)
        principal = self.service_principals.peek(name)
        if principal is None and f"application {name}" in self.keys:
            principal = self.service_principals.peek(self.application(name).app_id)
        principal = principal or self.service_principal(name)
        return Caller(id=principal.id, name=principal.name or "", app_id=principal.app_id)

    def principal_type(self, object_id: str) -> str:
        """The principalType of an object id."""
        if any(user.id == object_id for user in self.users):
            return "User"
        return "Group" if any(group.id == object_id for group in self.access.groups) else "ServicePrincipal"

    def schedule(self, step: Step) -> None:
        """Put a step where its time says into what is still to happen."""
        self.steps = sorted([*self.steps, step], key=lambda one: one.at)

    def advance(self, until: datetime) -> list[Step]:
        """Let everything happen that the story has up to a moment; gives what did, to be told in a timeline."""
        happened = []
        while self.steps and self.steps[0].at <= until:
            step = self.steps.pop(0)
            step.apply(self)
            happened.append(step)
        return happened


Change = Callable[[Tenant], None]
"""What a step does to a tenant."""

T = TypeVar("T")


def _one(name: str, found: Iterator[T]) -> T:
    for item in found:
        return item
    raise KeyError(name)


def _found(name: str, objects: Objects[Entity], guid: str | None) -> Entity:
    entity = objects.find(guid or name)
    if entity is None:
        entity = next((one for one in objects.own if one.name == name), None)
    if entity is None:
        raise KeyError(name)
    return entity
