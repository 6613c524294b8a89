"""What the scan itself could not read: the watcher's own blindness is a finding like any other."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import TENANT, Severity, Snapshot, Unread
from ..rule import Hit, Runbook, rule
from ..sources import APPLICATIONS, CLUSTERS, SUBSCRIPTIONS, told_as


@rule(
    reads=(),
    severity=Severity.WARNING,
    severities="warning; critical if Microsoft Graph or every subscription cannot be read",
    title="A source could not be read",
    runbook=Runbook(
        symptom="Fusewatch is blind there: what ends or vanishes is not seen, and nothing there is called resolved.",
        cause="A refusal is reported at once, a passing fault when it happens in two scans in a row.",
        confirm="python -m shared scan --dry-run --format json",
        fix="infra/access/grant TENANT",
        durable="Grant the permission that the finding names: docs/permissions.md says who can grant it, and where.",
        caveat="An administrator runs the command, once a tenant; TENANT is the name of the parameter file. It "
        "mends what "
        "was refused, and no fault of Azure's: that passes by itself.",
    ),
    docs="https://learn.microsoft.com/azure/role-based-access-control/built-in-roles#reader",
)
def scan_scope_unreadable(snapshot: Snapshot) -> Iterator[Hit]:
    """A source could not be read in full: refused, or failing for the second scan in a row."""
    told: dict[tuple[str, str], list[Unread]] = {}
    once = set()
    for unread in snapshot.unread:
        name = (told_as(unread.kind), unread.place)
        if not unread.passing or snapshot.unread_unnamed or unread.key in snapshot.unread_before:
            told.setdefault(name, []).append(unread)
        else:
            once.add(name)
    lost = {scope.lower() for source, scope in told if source in _AZURE}
    nothing = all(subscription.id.lower() in lost for subscription in snapshot.subscriptions)
    for (source, scope), unreads in told.items():
        where = "" if scope == TENANT else f" of {scope}"
        reasons = sorted({f"it needs {one.permission}" if one.permission else one.reason for one in unreads})
        blind = source == APPLICATIONS.told_as or (source in _AZURE and (nothing or scope == TENANT))
        yield Hit(
            resource_id=scope,
            resource_name=scope.rsplit("/", 1)[-1] or "the tenant",
            key=source,
            title=f"{source}{where} could not be read in full: {'; '.join(reasons)}",
            facts={
                "source": source,
                "kinds": sorted({one.kind.__name__ for one in unreads}),
                "reasons": sorted({one.reason for one in unreads}),
                "permissions": sorted({one.permission for one in unreads if one.permission}),
            },
            severity=Severity.CRITICAL if blind else Severity.WARNING,
        )
    for source, scope in once - told.keys():
        doubt = "it failed once, which opens no finding and resolves none"
        yield Hit(resource_id=scope, resource_name=scope, key=source, title="", facts={}, doubt=doubt)


_AZURE = (CLUSTERS.told_as, SUBSCRIPTIONS.told_as)
"""Where clusters are seen; without any of these the scan sees none."""
