"""All that a report shows of a tenant, as plain data: coverage, what ends, clusters, findings, silences; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import drift, losses
from .access import Access
from .card import portal_link, whose
from .ends import YEAR, End, ends
from .findings import Finding
from .model import NEVER, TENANT, ManagedCluster, Snapshot
from .needs import Identity, World, principal
from .permissions import Grant, Grants, Verdict
from .rule import Rule, commands
from .silences import Silence, muting
from .sources import told_as
from .text import amounts, visible

Data = dict[str, Any]

_LONG = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """A scan that finished."""

    finished: datetime
    partial: bool


def overview(
    snapshot: Snapshot,
    findings: Sequence[Finding],
    silences: Sequence[Silence],
    rules: Mapping[str, Rule],
    *,
    pulses: Sequence[Pulse] | None,
    problems: Sequence[str],
    portal: str,
) -> Data:
    """All that the page shows, as plain text; `pulses` is None where nothing is stored."""
    now = snapshot.taken
    advice: dict[str, Data] = {}
    quiet = muting(findings, now, silences)
    shown = [_finding(one, quiet.get(one.fingerprint), rules, advice, snapshot.tenant_id, portal) for one in findings]
    return {
        "tenant": snapshot.tenant_id,
        "made": _time(now),
        "counts": {name.replace("_", " "): number for name, number in snapshot.counts.items()},
        "unread": _unread(snapshot),
        "health": _health(snapshot, silences, pulses, problems),
        "notice": max(snapshot.thresholds.notice_days),
        "until": _time(now + YEAR),
        "ends": [_end(one) for one in ends(snapshot)],
        "clusters": _clusters(snapshot, findings, portal),
        "advice": advice,
        "findings": shown,
        "silences": None if pulses is None else [_silence(one, findings, now) for one in _by_end(silences, now)],
    }


def _time(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def _unread(snapshot: Snapshot) -> list[Data]:
    return [
        {
            "what": told_as(one.kind),
            "where": "" if one.scope == TENANT else visible(one.scope),
            "why": visible(one.reason),
            "needs": one.permission,
        }
        for one in snapshot.unread
    ]


def _health(
    snapshot: Snapshot, silences: Sequence[Silence], pulses: Sequence[Pulse] | None, problems: Sequence[str]
) -> list[Data]:
    """What is well and what is not with the watch itself: a line each, and whether it is good."""
    lines: list[tuple[bool | None, str]] = []
    now = snapshot.taken
    if pulses is None:
        lines.append((None, "Nothing is stored: this is one look at the tenant, without history and silences."))
    elif not pulses:
        lines.append((False, "No scan has finished in the last seven days."))
    else:
        last = max(one.finished for one in pulses)
        partial = sum(one.partial for one in pulses)
        hours = (now - last).total_seconds() / 3600
        age = f"{hours:.0f} hours" if hours >= 2 else f"{max(0, hours * 60):.0f} minutes"
        # A scan runs every six hours unless the schedule says otherwise; a day without one is a stopped watch.
        lines.append((hours < 24, f"The last scan finished {age} before this report ({last:%Y-%m-%d %H:%M} UTC)."))
        whole = f"{len(pulses)} scans finished in the last seven days"
        lines.append((not partial, f"{whole}, {partial} of them partial." if partial else f"{whole}, all complete."))
    lines += [(False, visible(text)) for text in problems]
    lines += [
        (False, f"Receiver {visible(one.receiver or 'fallback')} refuses cards since {one.since:%Y-%m-%d %H:%M} UTC.")
        for one in snapshot.refusals
    ]
    if snapshot.aside:
        lines.append((False, f"Set aside because nobody understood them: {amounts({'events': len(snapshot.aside)})}."))
    active = sum(one.active(now) for one in silences)
    if active:
        lines.append((None, f"{amounts({'active silences': active})}."))
    return [{"good": good, "text": text} for good, text in lines]


def _end(one: End) -> Data:
    return {
        "end": _time(one.end),
        "title": visible(one.title),
        "what": visible(one.what),
        "subject": visible(one.subject),
        "app": visible(one.app_id),
        "clusters": [visible(name) for name in one.clusters],
        "cluster": one.cluster,
        "sure": one.sure,
        "id": visible(one.resource_id, 600),
        "replaced": ("never" if one.replaced_on >= NEVER else _time(one.replaced_on)) if one.replaced_on else None,
    }


def _finding(
    one: Finding,
    silence: Silence | None,
    rules: Mapping[str, Rule],
    advice: dict[str, Data],
    tenant_id: str,
    portal: str,
) -> Data:
    rule = rules.get(one.rule)
    told = f"{one.rule} {one.variant}"
    blocks = {}
    if rule:
        book = rule.runbook(one.variant)
        advice.setdefault(
            told,
            {
                "symptom": book.symptom,
                "cause": book.cause,
                "durable": book.durable,
                "caveat": book.caveat,
                "docs": rule.docs,
            },
        )
        for name, template in (("confirm", book.confirm), ("fix", book.fix)):
            try:
                # A command that was cut, or whose letters were written out, could do something else than meant.
                lines = commands(template, one.facts)
            except KeyError:
                # A row of another version may lack a fact.
                continue
            if lines:
                blocks[name] = list(lines) if all(visible(line, _LONG) == line for line in lines) else []
    evidence = one.facts.get("evidence", ())
    fails = one.facts.get("fails")
    return {
        "fingerprint": one.fingerprint,
        "rule": one.rule,
        "advice": told if rule else "",
        "severity": one.severity.label,
        "status": one.status.value,
        "title": visible(one.title, 600),
        "id": visible(one.resource_id, 600),
        "name": visible(one.resource_name),
        "owners": [visible(owner.label) for owner in one.owners],
        "whose": visible(whose(one)),
        "team": visible(one.team),
        "ends": _time(one.expires_on),
        "seen": _time(one.first_seen),
        "closed": _time(one.resolved_at),
        "fails": visible(fails, _LONG) if isinstance(fails, str) else "",
        "evidence": [visible(text, _LONG) for text in ([evidence] if isinstance(evidence, str) else evidence)],
        "accepted": visible(one.accepted),
        "silenced": visible(f"until {silence.until:%Y-%m-%d} by {silence.by}: {silence.comment}", 700)
        if silence
        else "",
        "link": portal_link(one, tenant_id, portal),
        **blocks,
    }


def _by_end(silences: Iterable[Silence], now: datetime) -> list[Silence]:
    return sorted(silences, key=lambda one: (not one.active(now), one.until, one.id))


def _silence(one: Silence, findings: Sequence[Finding], now: datetime) -> Data:
    return {
        "id": one.id,
        "active": one.active(now),
        "matches": visible(one.matcher, 600),
        "findings": sum(finding.open and one.matches(finding) for finding in findings),
        "until": _time(one.until),
        "by": visible(one.by),
        "comment": visible(one.comment, 600),
    }


def _clusters(snapshot: Snapshot, findings: Sequence[Finding], portal: str) -> list[Data]:
    """Each cluster with its three identities: what each needs, has and lacks."""
    access, around = snapshot.access, drift.surroundings(snapshot)
    granted = drift.held_now(access)
    judged: dict[str, list[drift.Judged | drift.Blind]] = {}
    for item in drift.judged(snapshot):
        judged.setdefault(item.cluster.id.lower(), []).append(item)
    workloads: dict[str, list[drift.Watched]] = {}
    for one in drift.watched(snapshot.clusters, around, access).values():
        if one.identity is Identity.WORKLOAD:
            for cluster in one.clusters:
                workloads.setdefault(cluster.id.lower(), []).append(one)
    names = {one.subscription_id: one.name for one in snapshot.subscriptions}
    worst: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.open:
            worst.setdefault(finding.resource_id.lower(), []).append(finding)

    def bad(cluster: ManagedCluster) -> int:
        return max((one.severity for one in worst.get(cluster.id.lower(), ())), default=-1)

    found: list[Data] = []
    for cluster in sorted(snapshot.clusters, key=lambda one: (-bad(one), one.name.lower(), one.id.lower())):
        items = judged.get(cluster.id.lower(), [])
        open_here = worst.get(cluster.id.lower(), [])
        found.append(
            {
                "id": visible(cluster.id, 600),
                "name": visible(cluster.name),
                "group": visible(cluster.resource_group),
                "subscription": visible(names.get(cluster.subscription_id, "") or cluster.subscription_id),
                "location": visible(cluster.location),
                "state": visible(cluster.provisioning_state),
                "findings": len(open_here),
                "severity": max(open_here, key=lambda one: one.severity).severity.label if open_here else "",
                "identities": [
                    *(
                        _identity(kind, cluster, items, granted, access, around, snapshot)
                        for kind in (Identity.CLUSTER, Identity.KUBELET)
                    ),
                    *_workloads(cluster, workloads.get(cluster.id.lower(), ()), granted),
                ],
            }
        )
    return found


_SERVES = {
    Identity.CLUSTER: ("Cluster identity", "load balancers, disks, routes, scaling"),
    Identity.KUBELET: ("Kubelet identity", "image pulls"),
    Identity.WORKLOAD: ("Workload identity", "the application's own pods"),
}


def _identity(
    kind: Identity,
    cluster: ManagedCluster,
    items: Sequence[drift.Judged | drift.Blind],
    granted: Grants,
    access: Access,
    around: World,
    snapshot: Snapshot,
) -> Data:
    held = principal(cluster, kind, around)
    known = isinstance(held, str)
    shown = cluster.identities[:1] if kind is Identity.CLUSTER else tuple(filter(None, [cluster.kubelet]))
    if cluster.client_id:
        how = f"service principal {cluster.client_id}"
    elif shown and shown[0].id:
        how = f"user-assigned identity {shown[0].name}"
    else:
        how = "system-assigned identity" if kind is Identity.CLUSTER and known else ""
    called = "service principal" if cluster.client_id else f"{kind.value} identity"
    needs = [
        _need(item, called, snapshot)
        for item in items
        if isinstance(item, drift.Judged) and item.need.identity is kind
        # What it may also do without, and never had, is no need.
        if item.need.certain or item.now >= Verdict.MAYBE or item.before >= Verdict.MAYBE
    ]
    rules = (drift.PULL,) if kind is Identity.KUBELET else (drift.JOIN, drift.MANAGE, drift.ASSIGN, drift.DNS)
    blind = {item.why for item in items if isinstance(item, drift.Blind) and not set(rules).isdisjoint(item.rules)}
    return {
        "title": _SERVES[kind][0],
        "serves": _SERVES[kind][1],
        "how": visible(how),
        "principal": held if known else "",
        "blind": sorted(map(visible, blind)) if known else [],
        "unknown": "" if known else str(held.cause) if not isinstance(held, str) else "",
        "needs": needs,
        "has": _has(granted.of(held)) if isinstance(held, str) else [],
        "complete": isinstance(held, str) and granted.complete(held),
    }


def _workloads(cluster: ManagedCluster, some: Sequence[drift.Watched], granted: Grants) -> list[Data]:
    """Those that trust the cluster, and what add-ons act as; that there is none is said too."""
    if some:
        return [_workload(one, granted) for one in some]
    none = "none that was read trusts this cluster" if cluster.oidc_issuer else "the cluster issues no tokens for any"
    title, serves = _SERVES[Identity.WORKLOAD]
    return [
        {
            "title": title,
            "serves": serves,
            "how": none,
            "principal": "",
            "blind": [],
            "unknown": "",
            "needs": None,
            "has": [],
            "complete": False,
        }
    ]


def _workload(one: drift.Watched, granted: Grants) -> Data:
    return {
        "title": _SERVES[Identity.WORKLOAD][0],
        "serves": _SERVES[Identity.WORKLOAD][1],
        "how": visible(one.name),
        "principal": one.principal_id,
        "blind": [],
        "unknown": "",
        "needs": None,
        "has": _has(granted.of(one.principal_id)),
        "complete": granted.complete(one.principal_id),
    }


def _has(some: Iterable[Grant]) -> list[Data]:
    return [
        {
            "role": visible((grant.definition.name if grant.definition else "") or grant.assignment.role_id),
            "scope": visible(grant.assignment.scope, 600),
            "group": visible(grant.group),
            "condition": bool(grant.assignment.condition),
        }
        for grant in some
    ]


def _need(item: drift.Judged, called: str, snapshot: Snapshot) -> Data:
    need = item.need
    states = {Verdict.YES: "held", Verdict.MAYBE: "conditional", Verdict.UNKNOWN: "unknown", Verdict.NO: "lacking"}
    state = states[item.now]
    if item.now is Verdict.NO and item.before >= Verdict.MAYBE:
        state = "lost"
    return {
        "state": state,
        "rule": need.rule,
        "actions": [*need.actions, *need.data_actions],
        "scope": visible(need.scope, 600),
        "role": need.role.name,
        "fails": visible(need.fails, _LONG),
        "by": [visible(scope, 600) for scope in dict.fromkeys(item.by)],
        "lost": [visible(line, _LONG) for row in item.lost[:3] for line in losses.story(row, snapshot, called)]
        if state == "lost"
        else [],
    }
