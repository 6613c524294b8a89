"""What ends when: credentials of the coming year, and the clusters that fall with them; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .credentials import Held, expiry_fingerprint, held, platform_managed, started, successor
from .model import NEVER, Application, ManagedCluster, ServicePrincipal, Snapshot
from .rule import fingerprint

YEAR = timedelta(days=366)
"""How far ahead ends are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A moment at which a credential ends, or a cluster loses its sign-in with one."""

    key: str
    """32 hexadecimal digits that stay the same as long as it is the same thing that ends, whenever it does."""
    end: datetime
    what: str
    """What ends, as the beginning of a sentence: `Secret “ci”`, or `Sign-in to Azure`."""
    subject: str
    """Whose it is: the name of the application or of the cluster."""
    resource_id: str
    app_id: str
    clusters: tuple[str, ...] = ()
    """The clusters that sign in as this application; the cluster itself, if it is one's sign-in."""
    cluster: bool = False
    """Whether it is a cluster's sign-in."""
    sure: bool = True
    """False: which of several credentials the cluster holds cannot be read, and this is the first that ends."""
    replaced_on: datetime | None = None
    """The end of the credential that replaces it already; NEVER if that has none."""

    @property
    def title(self) -> str:
        """One sentence without its date; it holds text from the tenant."""
        if self.cluster:
            return f"Cluster {self.subject} {'loses' if self.sure else 'may lose'} its sign-in to Azure"
        return f"{self.what} of {self.subject} ends"


def ends(snapshot: Snapshot) -> tuple[End, ...]:
    """What ends within a year, and what ended lately, the earliest first."""
    behind: dict[str, list[str]] = {}
    for cluster in snapshot.clusters:
        if cluster.client_id:
            behind.setdefault(cluster.client_id.lower(), []).append(cluster.name)
    found: list[End] = []
    usable: dict[str, list[Held]] = {}
    applications = {one.app_id.lower() for one in snapshot.applications}
    entities: tuple[Application | ServicePrincipal, ...] = (*snapshot.applications, *snapshot.service_principals)
    for entity in entities:
        every = held(entity.credentials)
        now = (one for one in every if started(one.credential, snapshot.taken))
        usable.setdefault(entity.app_id.lower(), []).extend(now)
        if not platform_managed(entity):
            names = tuple(behind.get(entity.app_id.lower(), ()))
            found += (end for one in every if (end := _of_credential(entity, one, every, names, snapshot)))
    earliest, latest = snapshot.taken - snapshot.thresholds.ended, snapshot.taken + YEAR
    for cluster in snapshot.clusters:
        key = cluster.client_id.lower()
        # An application of another tenant may hold credentials that cannot be seen from here.
        found += _of_cluster(cluster, usable.get(key, ()), earliest, foreign=key not in applications)
    kept = (one for one in found if earliest <= one.end <= latest)
    return tuple(sorted(kept, key=lambda one: (one.end, not one.cluster, one.subject.lower(), one.key)))


def _of_credential(
    entity: Application | ServicePrincipal,
    one: Held,
    every: tuple[Held, ...],
    clusters: tuple[str, ...],
    seen: Snapshot,
) -> End | None:
    if one.credential.end is None:
        return None
    after = successor(one, every, seen.taken, seen.thresholds)
    kind = "SAML certificate" if one.saml else one.credential.kind.value.capitalize()
    return End(
        key=expiry_fingerprint(entity, one),
        end=one.credential.end,
        what=f"{kind} “{one.credential.name}”" if one.credential.name else kind,
        subject=entity.name or entity.app_id,
        resource_id=entity.id,
        app_id=entity.app_id,
        clusters=clusters,
        replaced_on=(after.credential.end or NEVER) if after else None,
    )


def _of_cluster(cluster: ManagedCluster, usable: Iterable[Held], earliest: datetime, *, foreign: bool) -> list[End]:
    """The date on which a cluster surely fails, and the earlier one on which it may."""
    if not cluster.client_id:
        return []
    dates = [one.credential.end for one in usable]
    known = sorted(date for date in dates if date)
    if not known:
        return []
    lasting = foreign or len(known) < len(dates)
    last = None if lasting else known[-1]
    found = []
    first = next((date for date in known if date >= earliest), known[-1])
    if last is None or first < last:
        found.append(_sign_in(cluster, first, sure=False))
    if last is not None:
        found.append(_sign_in(cluster, last, sure=True))
    return found


def _sign_in(cluster: ManagedCluster, end: datetime, *, sure: bool) -> End:
    return End(
        key=fingerprint("end", cluster.id, "sure" if sure else "may"),
        end=end,
        what="Sign-in to Azure",
        subject=cluster.name,
        resource_id=cluster.id,
        app_id=cluster.client_id,
        clusters=(cluster.name,),
        cluster=True,
        sure=sure,
    )
