"""A small tenant that changes at random, and what is true of it at any moment: no code of the app is asked.

The truths are written down from docs/rules.md and the contract, by somebody who did not look at the rules' code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from simulator import Tenant, generate
from simulator.access import RoleAssignment
from simulator.clusters import Cluster, Pool
from simulator.entities import Application, Certificate, Resource, Secret, derived

WINDOW = timedelta(days=60)
ENDED = timedelta(days=30)
SURE = timedelta(days=7)
INFO, WARNING, CRITICAL = "info", "warning", "critical"
LEVELS = (INFO, WARNING, CRITICAL)
TIERS = (1, 3, 7, 14, 30, 60)
BY = "Person 0"
GROUP = "rg-clusters"

Key = tuple[str, str, str]
"""Rule, name of the resource, and what else tells two problems of it apart."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong now: how bad, until when, whose, and what it tells along with it."""

    severity: str
    end: datetime | None = None
    team: str = ""
    replaced: bool = False
    includes: frozenset[Key] = frozenset()

    @property
    def receivers(self) -> frozenset[str]:
        """The channels that should know of it."""
        if not self.team:
            return frozenset({"fallback"})
        return frozenset({self.team, "fallback"} if self.severity == CRITICAL else {self.team})

    def tier(self, now: datetime) -> int | None:
        """How near its end is: 0 once it is over, None without one."""
        if self.end is None:
            return None
        return (
            0 if self.end <= now else min((one for one in TIERS if self.end - now <= timedelta(days=one)), default=60)
        )


@dataclass(frozen=True, kw_only=True)
class Mute:
    """A silence: what it mutes, and from when until when."""

    id: str
    since: datetime
    until: datetime
    rule: str = ""
    key: Key | None = None
    cluster: str = ""

    def matches(self, key: Key) -> bool:
        """Whether it mutes a problem while it lasts."""
        return key == self.key or key[0] == self.rule or (self.cluster != "" and key[1] == self.cluster)


@dataclass(kw_only=True)
class Right:
    """What an identity of a cluster holds: the rule that tells its loss, and where it lies."""

    rule: str
    role: str
    principal: str
    scope: str

    @property
    def name(self) -> tuple[str, str, str]:
        """Who may do what, where."""
        return self.principal, self.role, self.scope

    def is_of(self, grant: RoleAssignment) -> bool:
        """Whether this assignment gives it."""
        return (grant.principal_id, grant.role, grant.scope) == self.name

    def keys(self, cluster: str) -> list[Key]:
        """The problems that its loss is: the removal itself, and what breaks."""
        removal = ("role_assignment_deleted", cluster, f"{self.role}|{self.scope}".lower())
        return [removal, (self.rule, cluster, "")] if self.rule else [removal]


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a cluster ran on before it was converted: the service principal, and the image of each of its pools."""

    app_id: str
    principal: str
    images: dict[str, str]


@dataclass
class World:
    """The tenant, the chance that drives it, and what was ever seen of it."""

    seed: int
    chance: random.Random = field(init=False)
    tenant: Tenant = field(init=False)
    mutes: list[Mute] = field(default_factory=list)
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    """Principal, role and scope of every grant that a complete scan saw."""
    gone: list[RoleAssignment] = field(default_factory=list)
    left: dict[str, Left] = field(default_factory=dict)
    """What converted clusters ran on, by name, until a complete scan saw nothing left of it."""
    _made: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        tenant = generate(applications=1, service_principals=1, clusters=3, on_service_principals=1, seed=self.seed)
        self.tenant, self.now = tenant, tenant.starts
        tenant.teams = ["team0", "ops"]
        behind = tenant.applications.find(tenant.clusters[0].client_id)
        assert behind
        behind.name = "app-behind"
        self.reset(behind)
        for name in ("app-one", "app-two", "ops-one"):
            self.application(name)
        for cluster in tenant.clusters:
            self.extra(cluster)

    # What happens.

    def application(self, name: str) -> None:
        """Register an app with one or two credentials."""
        guid = derived(self.tenant.id, "endurance", name)
        one = Application(id=guid, app_id=derived(guid, "client"), name=name, created=self.now)
        self.reset(one)
        self.tenant.applications.append(one)

    def reset(self, one: Application) -> None:
        """Give an app credentials of its own, and an owner, or none."""
        one.secrets, one.certificates = [], []
        for _ in range(self.chance.choice((1, 1, 2))):
            self.add_credential(one)
        one.owners = [self.tenant.users[0].id] * self.chance.randint(0, 1)

    def add_credential(self, one: Application, days: float | None = None) -> None:
        """A new secret or certificate, which ends before long, late, or never."""
        self._made += 1
        days = days or self.chance.choice((-20, 2, 5, 12, 20, 28, 40, 55, 70, 90, 400, 400))
        end = (
            None
            if self.chance.random() < 0.05
            else self.now + timedelta(days=days, seconds=self.chance.randint(1, 80_000))
        )
        start = min(self.now, end or self.now) - timedelta(days=self.chance.choice((1, 300)))
        guid, name = derived(one.id, "credential", str(self._made)), f"credential-{self._made}"
        if self.chance.random() < 0.3:
            mark = f"{self._made:040X}"
            one.certificates.append(Certificate(key_id=guid, name=name, thumbprint=mark, start=start, end=end))
        else:
            one.secrets.append(Secret(key_id=guid, name=name, start=start, end=end))

    def change(self) -> str:
        """Let one thing happen that no event tells of; gives what."""
        tenant, chance = self.tenant, self.chance
        apps = list(tenant.applications)
        one = chance.choice(apps)
        held = [*one.secrets, *one.certificates]
        behind = one.app_id in {cluster.client_id for cluster in tenant.clusters}
        what = chance.choice(
            ("add", "rotate", "rotate", "drop", "drop", "delete", "register", "owner", "tag", "tag", "convert", "make")
            + ("upgrade", "tidy")
            + ("remove", "unassign", "unassign", "restore", "restore", "mute", "mute", "unmute")
        )
        if what == "add":
            self.add_credential(one)
        elif what == "rotate":
            self.add_credential(one, 400)
            if held and chance.random() < 0.5:
                self._drop(one, chance.choice(held))
        elif what == "drop" and len(held) > 1:
            self._drop(one, chance.choice(held))
        elif what == "delete" and not behind and len(apps) > 2:
            tenant.delete(one, self.now)
        elif what == "register" and len(apps) < 6:
            self._made += 1
            self.application(chance.choice(("app", "ops")) + f"-{self._made}")
        elif what == "owner":
            one.owners = [] if one.owners else [tenant.users[chance.randint(0, 3)].id]
        elif what == "tag" and tenant.clusters:
            cluster = chance.choice(tenant.clusters)
            cluster.tags = {"team": chance.choice(("team0", "ops", "nobody"))} if chance.random() < 0.7 else {}
        elif what == "convert":
            self._convert()
        elif what == "upgrade":
            self._upgrade()
        elif what == "tidy":
            self._tidy()
        elif what == "make" and len(tenant.clusters) < 4:
            self._make()
        elif what == "remove" and len(tenant.clusters) > 1:
            self.actions.delete_cluster(chance.choice(tenant.clusters), BY)
        elif what == "unassign":
            self.unassign()
        elif what == "restore":
            self.restore()
        return what

    @property
    def actions(self):
        """What somebody does in Azure now."""
        from simulator.actions import Actions

        return Actions(self.tenant, self.now)

    def unassign(self) -> RoleAssignment | None:
        """Take a right away that a complete scan has seen; gives it."""
        held = [one for one in self.tenant.access if (one.principal_id, one.role, one.scope) in self.seen]
        known = [one for one in held if any(right.principal == one.principal_id for right in self.rights())]
        if not known:
            return None
        gone = self.chance.choice(known)
        self.actions.unassign(gone.id, BY)
        self.gone.append(gone)
        return gone

    def restore(self, gone: RoleAssignment | None = None) -> None:
        """Give back what was taken away, under the old id or a new one."""
        if gone is None and self.gone:
            gone = self.chance.choice(self.gone)
        if gone:
            self.gone = [one for one in self.gone if one is not gone]
            groups = {one.node_group_id.lower() for one in self.tenant.clusters}
            if "/mc_" not in gone.scope.lower() or gone.scope.lower() in groups:
                self.actions.restore(gone, BY, same_id=self.chance.random() < 0.3)

    def extra(self, cluster: Cluster) -> None:
        """A right that the cluster itself does not need."""
        if cluster.managed:
            principal = cluster.kubelet_object_id
            self.actions.assign(principal, "Storage Blob Data Owner", self._registry(cluster), BY)

    def _drop(self, one: Application, credential: Secret | Certificate) -> None:
        one.secrets = [other for other in one.secrets if other is not credential]
        one.certificates = [other for other in one.certificates if other is not credential]

    def _convert(self) -> None:
        for cluster in self.tenant.clusters:
            if not cluster.managed:
                entity = self.tenant.service_principals.peek(cluster.client_id)
                assert entity
                images = {pool.name: pool.image for pool in cluster.pools}
                self.left[cluster.name] = Left(app_id=cluster.client_id, principal=entity.id, images=images)
                self.tenant.convert(cluster, self.now)
                self._attach(cluster)
                return

    def _upgrade(self) -> None:
        """Put a new image on the nodes of one pool."""
        self._made += 1
        cluster = self.chance.choice(self.tenant.clusters)
        self.chance.choice(cluster.pools).image = f"AKSUbuntu-2204gen2containerd-{self._made}"

    def _tidy(self) -> None:
        """Delete one thing that a converted cluster left: the app, or what its service principal was granted."""
        for left in self.left.values():
            held = [one for one in self.tenant.access if one.principal_id == left.principal]
            one = self.tenant.applications.find(left.app_id)
            if held and (one is None or self.chance.random() < 0.7):
                self.actions.unassign(held[0].id, BY)
            elif one:
                self.tenant.delete(one, self.now)

    def _make(self) -> None:
        self._made += 1
        name = f"cluster-made-{self._made}"
        subscription_id = self.tenant.subscriptions[0].id
        kind = "Microsoft.Network/virtualNetworks/subnets"
        subnet = Resource(subscription_id=subscription_id, group=GROUP, type=kind, name=f"vnet/{name}")
        self.tenant.resources.append(subnet)
        cluster = Cluster(
            subscription_id=subscription_id, group=GROUP, name=name, pools=[Pool(name="system", subnet=subnet.id)]
        )
        self.actions.create_cluster(cluster, BY)
        self._attach(cluster)
        self.extra(cluster)

    def _attach(self, cluster: Cluster) -> None:
        self.actions.assign(cluster.kubelet_object_id, "AcrPull", self._registry(cluster), BY)
        self.actions.assign(cluster.principal_id, "Network Contributor", cluster.pools[0].subnet, BY)

    def _registry(self, cluster: Cluster) -> str:
        return self.tenant.registries[0].id

    # What is true.

    def rights(self) -> Iterator[Right]:
        """What the identities of the clusters have, or had and lost."""
        for cluster in self.tenant.clusters:
            yield from self.rights_of(cluster)

    def rights_of(self, cluster: Cluster) -> Iterator[Right]:
        """What the identities of one cluster have, or had and lost."""
        role = self.tenant.access.role
        control, kubelet = cluster.principal_id, cluster.kubelet_object_id
        if not cluster.managed:
            entity = self.tenant.service_principals.peek(cluster.client_id)
            assert entity
            control = kubelet = entity.id
        registry = self._registry(cluster)
        yield Right(rule="aks_kubelet_cannot_pull", role=role("AcrPull").id, principal=kubelet, scope=registry)
        yield Right(
            rule="aks_cluster_cannot_join_subnet",
            role=role("Network Contributor").id,
            principal=control,
            scope=cluster.pools[0].subnet,
        )
        yield Right(
            rule="aks_cluster_cannot_manage_node_group",
            role=role("Contributor").id,
            principal=control,
            scope=cluster.node_group_id,
        )
        if cluster.managed:
            yield Right(rule="", role=role("Storage Blob Data Owner").id, principal=kubelet, scope=registry)

    def remember(self) -> None:
        """A scan has seen everything as it is now."""
        self.seen |= {(one.principal_id, one.role, one.scope) for one in self.tenant.access}
        clusters = {one.name: one for one in self.tenant.clusters}
        self.left = {name: one for name, one in self.left.items() if name in clusters and self._is_left(clusters[name])}

    def silenced(self, key: Key, now: datetime) -> bool:
        """Whether a silence mutes a problem now."""
        return any(one.since <= now < one.until and one.matches(key) for one in self.mutes)

    def problems(self) -> dict[Key, Problem]:
        """Everything that is wrong now."""
        found: dict[Key, Problem] = {}
        for one in self.tenant.applications:
            found |= self._credentials(one)
        for cluster in self.tenant.clusters:
            team = self._team(cluster)
            if not cluster.managed:
                found["aks_service_principal_cluster", cluster.name, ""] = Problem(severity=INFO, team=team)
                ending = self._signing_in(cluster, found)
                if ending:
                    found["aks_service_principal_expiry", cluster.name, ""] = ending
            if self._is_left(cluster):
                found["aks_service_principal_leftover", cluster.name, ""] = Problem(severity=INFO, team=team)
            for right in self.rights_of(cluster):
                if self._lost(right):
                    removal, *broken = right.keys(cluster.name)
                    found[removal] = Problem(severity=WARNING, team=team)
                    for key in broken:
                        found[key] = Problem(severity=CRITICAL, team=team, includes=frozenset({removal}))
        return found

    def aged(self, key: Key) -> bool:
        """Whether a credential is still there, and ended so long ago that nobody is told any more."""
        every = [item for one in self.tenant.applications for item in (*one.secrets, *one.certificates)]
        return any(item.key_id == key[2] and item.end and item.end < self.now - ENDED for item in every)

    def _team(self, cluster: Cluster) -> str:
        wanted = cluster.tags.get("team", "team0")
        return wanted if wanted in self.tenant.teams else ""

    def _is_left(self, cluster: Cluster) -> bool:
        """Whether anything is left of what a converted cluster ran on."""
        left = self.left.get(cluster.name)
        if left is None:
            return False
        one = self.tenant.applications.find(left.app_id)
        return (
            any(pool.image == left.images.get(pool.name) for pool in cluster.pools)
            or (one is not None and bool(one.secrets or one.certificates))
            or any(grant.principal_id == left.principal for grant in self.tenant.access)
        )

    def _lost(self, right: Right) -> bool:
        return right.name in self.seen and not any(map(right.is_of, self.tenant.access))

    def _credentials(self, one: Application) -> dict[Key, Problem]:
        found: dict[Key, Problem] = {}
        near_alone = False
        team = "ops" if (one.name or "").startswith("ops-") else ""
        for credentials in (one.secrets, one.certificates):
            for item in credentials:
                end = item.end
                if end is not None and not self.now - ENDED <= end <= self.now + WINDOW:
                    continue
                after = self.now if end and end <= self.now else self.now + WINDOW
                replaced = end is not None and any(
                    other is not item and other.start <= self.now and (other.end is None or other.end > after)
                    for other in credentials
                )
                severity = INFO if replaced or end is None else CRITICAL if end <= self.now else WARNING
                near_alone |= end is not None and not replaced
                key = ("entra_credential_expiry", str(one.name), item.key_id)
                found[key] = Problem(severity=severity, end=end, replaced=replaced, team=team)
        if near_alone and not one.owners:
            found["entra_application_without_owner", str(one.name), ""] = Problem(severity=INFO, team=team)
        return found

    def _signing_in(self, cluster: Cluster, known: dict[Key, Problem]) -> Problem | None:
        """Which credential the cluster holds cannot be seen: it may fail with the first, and surely with the last."""
        one = self.tenant.applications.find(cluster.client_id)
        assert one
        every = [item for item in (*one.secrets, *one.certificates) if item.start <= self.now]
        team = self._team(cluster)
        if not every:
            return Problem(severity=CRITICAL, team=team)
        near = [item for item in every if item.end and item.end <= self.now + WINDOW]
        if not near:
            return None
        sure = None if any(item.end is None for item in every) else max(item.end for item in every if item.end)
        broken = sure is not None and sure <= self.now
        shown = near if broken else [item for item in near if item.end and item.end >= self.now - ENDED]
        if not shown:
            return None
        ends = [item.end for item in shown if item.end]
        upcoming = [end for end in ends if end > self.now]
        return Problem(
            severity=CRITICAL if sure is not None and sure <= self.now + SURE else WARNING,
            end=min(upcoming) if upcoming else max(ends),
            team=team,
            includes=frozenset(
                key for item in shown if (key := ("entra_credential_expiry", str(one.name), item.key_id)) in known
            ),
        )
