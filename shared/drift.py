"""What the identities of clusters need, hold, held before and lost: what the rules of drift have in common; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from .access import (
    Access,
    BaselineGrant,
    FederatedIdentityCredential,
    Membership,
    RoleDefinition,
    UserAssignedIdentity,
    reaches,
    subscription_of,
)
from .model import ManagedCluster, ServicePrincipal, Severity, Snapshot
from .needs import GRANT, Cause, Identity, Need, Unknown, World, judge, needs, principal, pulls, unknowns, world
from .permissions import Grants, Verdict, equivalent, grants, permits
from .rule import Fact, Hit, Runbook, date_text, fingerprint

_BEHIND = (ManagedCluster, UserAssignedIdentity, FederatedIdentityCredential, Membership, ServicePrincipal)
"""What tells which identities stand behind clusters."""

REMOVED = "role_assignment_deleted"
"""The rule whose findings are the evidence of the others."""

PULL = "aks_kubelet_cannot_pull"
JOIN = "aks_cluster_cannot_join_subnet"
MANAGE = "aks_cluster_cannot_manage_node_group"
ASSIGN = "aks_cluster_cannot_assign_kubelet"
DNS = "aks_cluster_cannot_edit_dns_zone"
_OF_CLUSTER = (JOIN, MANAGE, ASSIGN, DNS)

RESTORE = (
    "az role assignment create --assignee-object-id {lost_principal} --assignee-principal-type {lost_type} "
    "--role {lost_role} --scope {lost_scope} {lost_condition}"
)
"""Makes exactly the assignment that was lost; `lost_condition` is no word or four."""

CACHED = (
    "Azure caches rights, for a managed identity up to a day: the cluster may look healthy for hours after it lost one."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A need of a cluster: whether it is held, whether it ever was, and which lost grants gave it."""

    cluster: ManagedCluster
    need: Need
    now: Verdict
    before: Verdict
    lost: tuple[BaselineGrant, ...]
    """The grants that gave it and are gone, the latest loss first."""
    by: tuple[str, ...] = ()
    """The scopes of the grants that give it now."""
    through_group: bool = False
    """Whether it was ever held through a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """Rules that can say nothing of a cluster, and why."""

    cluster: ManagedCluster
    rules: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An identity that clusters depend on."""

    principal_id: str
    identity: Identity
    name: str
    """How it is called on a card: `kubelet identity` or the like."""
    clusters: tuple[ManagedCluster, ...]
    identity_id: str = ""
    """The id of the user-assigned identity that it is, or the path of the application; empty for another one."""


@lru_cache(maxsize=1)
def surroundings(snapshot: Snapshot, access: Access | None = None) -> World:
    """What the clusters of a snapshot refer to by id, perhaps with an access part of its own."""
    access = access or snapshot.access
    return world(
        subnets=access.subnets,
        identities=access.identities,
        service_principals=snapshot.service_principals,
    )


def watched(clusters: Sequence[ManagedCluster], around: World, access: Access) -> dict[str, Watched]:
    """The identities that clusters depend on, by lower-case object id: their own, those of add-ons, and workloads'."""
    found: dict[str, Watched] = {}

    def add(principal_id: str, identity: Identity, name: str, cluster: ManagedCluster, identity_id: str = "") -> None:
        old = found.get(principal_id.lower())
        if principal_id and old is None:
            found[principal_id.lower()] = Watched(
                principal_id=principal_id, identity=identity, name=name, clusters=(cluster,), identity_id=identity_id
            )
        elif old and cluster not in old.clusters:
            found[principal_id.lower()] = replace(old, clusters=(*old.clusters, cluster))

    issuers: dict[str, list[ManagedCluster]] = {}
    for cluster in clusters:
        given = {Identity.CLUSTER: cluster.identities[:1], Identity.KUBELET: tuple(filter(None, [cluster.kubelet]))}
        for identity, shown in given.items():
            held = principal(cluster, identity, around)
            if isinstance(held, str):
                name = "service principal" if cluster.client_id else f"{identity.value} identity"
                add(held, identity, name, cluster, shown[0].id if shown and not cluster.client_id else "")
        for addon, one in cluster.addons.items():
            add(one.principal_id, Identity.WORKLOAD, f"identity of add-on {addon}", cluster, one.id)
        if cluster.oidc_issuer:
            issuers.setdefault(cluster.oidc_issuer.rstrip("/").lower(), []).append(cluster)
    for credential in access.federated:
        read = around.identities.get(credential.identity_id.lower())
        for cluster in issuers.get(credential.issuer.rstrip("/").lower(), ()):
            if read:
                add(read.principal_id, Identity.WORKLOAD, f"workload identity {read.name}", cluster, read.id)
            elif credential.principal_id:
                name = f"workload identity {credential.holder or credential.app_id}"
                add(credential.principal_id, Identity.WORKLOAD, name, cluster, credential.identity_id)
    return found


def blurred(snapshot: Snapshot, clusters: Iterable[ManagedCluster]) -> bool:
    """Whether it is not known in full which identities stand behind these clusters."""
    around = surroundings(snapshot)
    return any(one.kind in _BEHIND for one in snapshot.unread) or any(
        isinstance(principal(cluster, identity, around), Unknown)
        for cluster in clusters
        for identity in (Identity.CLUSTER, Identity.KUBELET)
    )


def held_now(access: Access) -> Grants:
    """What everybody holds now."""
    return grants(access.assignments, access.definitions, access.memberships)


def held_ever(access: Access) -> Grants:
    """What everybody holds or ever held, and who is or was in which group."""
    groups: dict[str, list[str]] = {row.principal_id.lower(): list(row.groups) for row in access.memberships}
    for row in access.baseline:
        for member in row.via:
            groups.setdefault(member.lower(), []).append(row.assignment.principal_id)
    every = (*access.assignments, *(row.ever for row in access.baseline))
    memberships = [Membership(principal_id=one, groups=tuple(many)) for one, many in groups.items()]
    return grants(every, access.definitions, memberships)


@lru_cache(maxsize=1)
def judged(snapshot: Snapshot) -> tuple[Judged | Blind, ...]:
    """Every need of every cluster of a snapshot, and where nothing can be said."""
    access, around = snapshot.access, surroundings(snapshot)
    now, ever = held_now(access), held_ever(access)
    roles = {one.role_id: one for one in access.definitions}
    lost: dict[str, list[BaselineGrant]] = {}
    for row in sorted((one for one in access.baseline if one.lost), key=_latest_first):
        for holder in row.holders:
            lost.setdefault(holder, []).append(row)
    found: list[Judged | Blind] = []
    for cluster in snapshot.clusters:
        found += (_blind(cluster, unknown) for unknown in unknowns(cluster, around))
        hidden = _hidden_pulls(cluster, around, ever, access)
        if hidden:
            found.append(Blind(cluster=cluster, rules=(PULL,), why=hidden))
        for need in (*needs(cluster, around), *pulls(cluster, ever, access.registries, around)):
            found.append(_judge(cluster, need, now, ever, lost.get(need.principal_id.lower(), ()), roles, snapshot))
    return tuple(found)


def _latest_first(row: BaselineGrant) -> tuple[float, str]:
    assert row.deleted_at
    return (-row.deleted_at.timestamp(), row.assignment.key)


def _judge(
    cluster: ManagedCluster,
    need: Need,
    now: Grants,
    ever: Grants,
    lost: Sequence[BaselineGrant],
    roles: Mapping[str, RoleDefinition],
    snapshot: Snapshot,
) -> Judged:
    answer = judge(need, now)
    verdict = answer.verdict
    if verdict is Verdict.NO and subscription_of(need.scope) not in snapshot.access.listed:
        # Nobody could see a grant there.
        verdict = Verdict.UNKNOWN

    def gave(row: BaselineGrant) -> bool:
        role = roles.get(row.assignment.role_id)
        if role is None or not reaches(row.ever, need.scope):
            return False
        return any(permits(role, action) for action in need.actions) or any(
            permits(role, action, data=True) for action in need.data_actions
        )

    before = judge(need, ever)
    return Judged(
        cluster=cluster,
        need=need,
        now=verdict,
        before=before.verdict,
        lost=tuple(row for row in lost if gave(row)),
        by=tuple(grant.assignment.scope for grant in answer.grants),
        through_group=any(grant.group for grant in before.grants),
    )


def _blind(cluster: ManagedCluster, unknown: Unknown) -> Blind:
    if unknown.cause is Cause.SUBNET_UNREAD:
        rules: tuple[str, ...] = (JOIN,)
    elif unknown.cause is Cause.CHANGING or cluster.client_id:
        rules = (*_OF_CLUSTER, PULL, REMOVED)
    else:
        rules = (PULL,) if unknown.identity is Identity.KUBELET else _OF_CLUSTER
    return Blind(cluster=cluster, rules=rules, why=str(unknown.cause))


def _hidden_pulls(cluster: ManagedCluster, around: World, ever: Grants, access: Access) -> str:
    """Why not all is known that a cluster may pull or might; empty if it is."""
    kubelet = principal(cluster, Identity.KUBELET, around)
    for grant in ever.of(kubelet) if isinstance(kubelet, str) else ():
        if grant.definition is None:
            return f"role {grant.assignment.role_id} could not be read"
        own = subscription_of(grant.assignment.scope)
        for name in {own} if own else grant.assignment.listed_in:
            if name.lower() not in access.registries_of:
                return f"the registries of subscription {name} could not be read"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a rule says of a need: `{cluster}` and `{target}` stand for text, nothing else does."""

    lost: str
    never: str


def hits(snapshot: Snapshot, rule: str, words: Words) -> Iterator[Hit]:
    """The hits of one rule about a need: lost ones, those never seen held, and where it is in doubt."""
    told: dict[tuple[str, str], Hit] = {}
    for item in judged(snapshot):
        cluster = item.cluster
        if isinstance(item, Blind):
            if rule in item.rules:
                yield doubt(cluster, "", item.why)
        elif item.need.rule == rule:
            if item.now >= Verdict.MAYBE:
                # Told by the scope of a grant or by its own, it is held: whatever else could not be read.
                yield from (held(cluster, key) for key in dict.fromkeys((item.need.key, *map(str.lower, item.by))))
            hit = _hit(item, words, snapshot)
            if hit:
                # One lost grant may have opened many registries: one finding that names them all.
                name = (cluster.id.lower(), hit.key)
                told[name] = _both(told[name], hit) if name in told else hit
    yield from told.values()


def doubt(cluster: ManagedCluster, key: str, why: str) -> Hit:
    """What says that nothing can be said of one key of a cluster, or with an empty key of all of them."""
    return Hit(resource_id=cluster.id, resource_name=cluster.name, key=key, title="", facts={}, doubt=why)


def held(cluster: ManagedCluster, key: str) -> Hit:
    """What says that one key of a cluster is surely no problem."""
    return Hit(resource_id=cluster.id, resource_name=cluster.name, key=key, title="", facts={}, held=True)


def _hit(item: Judged, words: Words, snapshot: Snapshot) -> Hit | None:
    cluster, need = item.cluster, item.need
    loss = _main(item)
    key = _key(need, loss)
    if item.now >= Verdict.MAYBE:
        return None
    if Verdict.UNKNOWN in (item.now, item.before):
        return doubt(cluster, key, "whether it is held, or ever was, could not be read")
    held_before = item.before >= Verdict.MAYBE
    if not held_before and not need.certain:
        return None
    severity = Severity.CRITICAL if held_before and need.certain else Severity.WARNING
    target = _target(need, snapshot)
    facts: dict[str, Fact] = {**need.facts, "fails": need.fails, "targets": [need.scope], "target": target}
    title = (words.lost if held_before else words.never).format(cluster=cluster.name, target=target)
    if not held_before:
        facts["evidence"] = [f"Nothing that was ever seen gives the {need.identity.value} identity this right."]
        return Hit(
            resource_id=cluster.id,
            resource_name=cluster.name,
            key=key,
            title=title,
            facts=facts,
            severity=severity,
            variant="never",
        )
    variant = "lost" if loss else "left" if item.through_group else "moved"
    if loss is None:
        # The assignment is still there, and does not count here any more.
        identity = f"The {need.identity.value} identity ({need.principal_id})"
        facts["evidence"] = [
            f"{identity} was in a group that holds this right, and is not now."
            if item.through_group
            else f"{identity} still has the role assignment that gave this right, but it does not reach here any more."
        ]
    else:
        name = "service principal" if cluster.client_id else f"{need.identity.value} identity"
        facts |= loss_facts(loss, *item.lost) | {
            "evidence": [line for row in item.lost[:3] for line in story(row, snapshot, name)]
        }
    return Hit(
        resource_id=cluster.id,
        resource_name=cluster.name,
        key=key,
        title=title,
        facts=facts,
        severity=severity,
        variant=variant,
        lost_at=loss.deleted_at if loss else snapshot.taken,
        includes=tuple(fingerprint(REMOVED, cluster.id, removal_key(row, need.principal_id)) for row in item.lost),
    )


def _key(need: Need, loss: BaselineGrant | None) -> str:
    # A pull is told by the grant that was lost: it may have opened a hundred registries.
    return loss.assignment.scope.lower() if loss and need.rule == PULL else need.key


def _main(item: Judged) -> BaselineGrant | None:
    """The lost grant to restore: the identity's own before a group's, then the widest.

    Not the latest: the log may put two losses of a moment in another order, and this one names the finding.
    """
    return min(
        item.lost, key=lambda row: (bool(row.via), row.assignment.scope.lower(), row.assignment.key), default=None
    )


def _both(one: Hit, other: Hit) -> Hit:
    """Two needs that rest on the same lost grant, as one finding."""
    if one.doubt or other.doubt:
        return other if one.doubt else one
    targets = list(dict.fromkeys([*one.facts["targets"], *other.facts["targets"]]))
    names = [str(one.facts["target"]), str(other.facts["target"])]
    more = len(targets) - 1
    first = names[0].split(" and ")[0]
    name = f"{first} and {more} more"
    facts = {**one.facts, "targets": targets, "target": name}
    title = one.title.removesuffix(names[0]) + name
    includes = tuple(dict.fromkeys((*one.includes, *other.includes)))
    return Hit(
        resource_id=one.resource_id,
        resource_name=one.resource_name,
        key=one.key,
        title=title,
        facts=facts,
        severity=max(one.severity or Severity.WARNING, other.severity or Severity.WARNING),
        variant=one.variant,
        lost_at=one.lost_at,
        includes=includes,
    )


def _target(need: Need, snapshot: Snapshot) -> str:
    """How the scope of a need is called on a card: the registry's address, or the last segment of the id."""
    if need.rule == PULL:
        found = next((one for one in snapshot.access.registries if one.id.lower() == need.key), None)
        if found:
            return found.login_server or found.name
    return need.scope.rstrip("/").rsplit("/", 1)[-1]


def removal_key(row: BaselineGrant, principal_id: str) -> str:
    """The key under which role_assignment_deleted tells of a loss of one watched identity."""
    return row.loss if not row.via else f"{row.loss}|{principal_id.lower()}"


def workload_of(identity: Watched) -> bool:
    """Whether an identity is one that pods sign in as by a federated credential, and no add-on's."""
    return identity.identity is Identity.WORKLOAD and identity.name.startswith("workload identity ")


def removals(snapshot: Snapshot, known: Mapping[str, Watched]) -> Iterator[tuple[BaselineGrant, str, Watched]]:
    """Each lost grant that nothing else makes up for, with the watched identity, by its id, that lost it."""
    verdicts = again(snapshot)
    for row in snapshot.access.baseline:
        for holder in row.holders if row.lost else ():
            identity = known.get(holder)
            if identity and verdicts[row.assignment.key, holder] is Verdict.NO:
                yield row, holder, identity


def loss_facts(row: BaselineGrant, *others: BaselineGrant) -> dict[str, Fact]:
    """The facts that RESTORE takes from a lost grant, and `accept` from it and the others behind a finding."""
    one = row.assignment
    condition = ["--condition", one.condition, "--condition-version", one.condition_version or "2.0"]
    return {
        "lost_principal": one.principal_id,
        "lost_type": one.principal_type or ("Group" if row.via else "ServicePrincipal"),
        "lost_role": one.role_id,
        "lost_scope": one.scope,
        "lost_condition": condition if one.condition else [],
        "lost_assignment": one.id,
        "lost_assignments": list(dict.fromkeys(one.assignment.id for one in (row, *others))),
    }


def story(row: BaselineGrant, snapshot: Snapshot, name: str) -> list[str]:
    """What is known of a loss of an identity, called so, for a person: what, where, when, and who did it."""
    one = row.assignment
    role = next((role.name for role in snapshot.access.definitions if role.role_id == one.role_id), "") or one.role_id
    holder = f"group {one.principal_id}, which the {name} is in," if row.via else f"the {name} ({one.principal_id})"
    assert row.deleted_at
    when = f"{date_text(row.deleted_at)}, {row.deleted_at:%H:%M} UTC"
    if row.deleted_by:
        moment = f"was deleted on {when}"
    elif row.deleted_after:
        moment = f"vanished after the scan of {date_text(row.deleted_after)}, {row.deleted_after:%H:%M} UTC"
    else:
        moment = f"was missed first on {when}"
    lines = [f"Role {role} of {holder} at {one.scope} {moment}."]
    by = row.deleted_by
    if by and by.label:
        identity = f" (object id {by.object_id})" if by.object_id and by.object_id != by.label else ""
        proof = "the activity log says so" if by.confirmed else "according to the event, unconfirmed"
        lines.append(f"Deleted by {by.label}{identity}: {proof}.")
    elif by is None:
        lines.append("Who deleted it is not known: no event told of it.")
    unasked = snapshot.access.unasked.get(one.scope.lower())
    if unasked:
        lines.append(
            f"Whether {one.scope} still exists could not be read: {unasked}. If it was deleted on purpose: "
            "python -m shared accept, with the fingerprint and a comment."
        )
    return lines


def again(snapshot: Snapshot) -> dict[tuple[str, str], Verdict]:
    """Whether what a lost row of the baseline gave is held again, by lower-case assignment id and holder.

    By an equal grant, or since all that rests on it is held; UNKNOWN where that could not be judged. What counted for
    nobody who is behind a cluster now is made good.
    """
    access = snapshot.access
    now = held_now(access)
    definitions = {one.role_id: one for one in access.definitions}
    unread = {one.kind for one in snapshot.unread}
    resting: dict[tuple[str, str], list[Judged]] = {}
    blind = set()
    for item in judged(snapshot):
        if isinstance(item, Blind):
            blind.add(item.cluster.id)
            continue
        for row in item.lost:
            resting.setdefault((row.assignment.key, item.need.principal_id.lower()), []).append(item)
    people = watched(snapshot.clusters, surroundings(snapshot), access)
    nobody = Verdict.UNKNOWN if blurred(snapshot, snapshot.clusters) else Verdict.YES

    def judge_one(row: BaselineGrant, holder: str) -> Verdict:
        one, role = row.assignment, definitions.get(row.assignment.role_id)
        identity = people.get(holder)
        if identity is None:
            return nobody
        needed = resting.get((one.key, holder), ())
        # At a management group an equal grant need not reach what the lost one did: subscriptions move.
        places = (one.scope, *(item.need.scope for item in needed))
        if all(equivalent(now, holder, replace(one, scope=place), role) for place in places):
            return Verdict.YES
        if needed:
            worst = min(item.now for item in needed)
            hidden = any(cluster.id in blind for cluster in identity.clusters)
            return worst if worst < Verdict.MAYBE else Verdict.UNKNOWN if hidden else Verdict.YES
        if row.via and now.complete(holder) and one.principal_id.lower() not in now.groups[holder]:
            # It left the group before the group lost this.
            return Verdict.YES
        dark = role is None and RoleDefinition in unread
        unclear = any(grant.definition is None and reaches(grant.assignment, one.scope) for grant in now.of(holder))
        return Verdict.UNKNOWN if dark or unclear or not now.complete(holder) else Verdict.NO

    return {
        (row.assignment.key, holder): judge_one(row, holder)
        for row in access.baseline
        if row.lost
        for holder in row.holders
    }


def settled(snapshot: Snapshot) -> frozenset[str]:
    """The lost rows of the baseline, by lower-case assignment id, that need not be remembered any more."""
    verdicts = again(snapshot)
    return frozenset(key for key, _ in verdicts) - {key for (key, _), one in verdicts.items() if one < Verdict.YES}


SHOW = (
    "az role assignment list --assignee {principal_id} --scope {scope} --include-inherited --include-groups "
    "--fill-principal-name false -o table"
)
"""Lists what an identity holds at the scope of a need; changes nothing."""


def runbooks(symptom: str, cause: str, durable: str, *, caveat: str = CACHED) -> dict[str, Runbook]:
    """The runbooks of a rule about a need: lost, left with its group, moved away from it, or never seen held."""
    general = Runbook(symptom=symptom, cause=cause, confirm=SHOW, fix=GRANT, durable=durable, caveat=caveat)
    return {
        "lost": replace(general, fix=RESTORE),
        "left": replace(
            general,
            cause="The identity was taken out of the group that holds this right. " + cause,
            durable=f"Put the identity back into the group, or give it the right itself. {durable}",
        ),
        "moved": replace(
            general,
            cause="The role assignment is at a management group, and the subscription was moved out of that. " + cause,
        ),
        "never": replace(
            general,
            cause="Fusewatch has never seen the identity hold this right; perhaps it was lost before the first scan. "
            + cause,
        ),
    }
