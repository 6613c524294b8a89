"""What the rules of drift say of a right that is lost or was never held: hits, facts, runbooks; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from .access import BaselineGrant
from .drift import PULL, REMOVED, Blind, Judged, Watched, again, judged
from .model import ManagedCluster, Severity, Snapshot
from .needs import GRANT, Identity, Need
from .permissions import Verdict
from .rule import Fact, Hit, Runbook, date_text, fingerprint

RESTORE = (
    "az role assignment create --assignee-object-id {lost_principal} --assignee-principal-type {lost_type} "
    "--role {lost_role} --scope {lost_scope} {lost_condition}"
)
"""Makes exactly the assignment that was lost; `lost_condition` is no word or four."""

SHOW = (
    "az role assignment list --assignee {principal_id} --scope {scope} --include-inherited --include-groups "
    "--fill-principal-name false -o table"
)
"""Lists what an identity holds at the scope of a need; changes nothing."""

CACHED = (
    "Azure caches rights, for a managed identity up to a day: the cluster may look healthy for hours after it lost one."
)


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
    loss = _first(item.lost)
    key = _key(need, loss or _first(item.standing))
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


def _key(need: Need, gave: BaselineGrant | None) -> str:
    # A pull is told by the grant that gave it, lost or out of reach: it may have opened a hundred registries.
    return gave.assignment.scope.lower() if gave and need.rule == PULL else need.key


def _first(rows: Iterable[BaselineGrant]) -> BaselineGrant | None:
    """The grant that names a finding, and is the one to restore: the identity's own before a group's, then the widest.

    Not the latest: the log may put two losses of a moment in another order.
    """
    return min(rows, key=lambda row: (bool(row.via), row.assignment.scope.lower(), row.assignment.key), default=None)


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


def removals(snapshot: Snapshot, known: Mapping[str, Watched]) -> Iterator[tuple[BaselineGrant, str, Watched]]:
    """Each lost grant that nothing else makes up for, with the watched identity, by its id, that lost it."""
    verdicts = again(snapshot)
    for row in snapshot.access.baseline:
        for holder in row.holders if row.lost else ():
            identity = known.get(holder)
            if identity and verdicts[row.assignment.key, holder] is Verdict.NO:
                yield row, holder, identity


def workload_of(identity: Watched) -> bool:
    """Whether an identity is one that pods sign in as by a federated credential, and no add-on's."""
    return identity.identity is Identity.WORKLOAD and identity.name.startswith("workload identity ")


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
