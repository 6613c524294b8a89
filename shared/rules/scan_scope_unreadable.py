"""What the scan itself could not read: the watcher's own blindness is a finding like any other."""

from __future__ import annotations

from collections.abc import Iterator

from ..access import subscription_of
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
    for unread in snapshot.unread:
        if not unread.passing or unread.key in snapshot.unread_before:
            told.setdefault((told_as(unread.kind), _place(unread.scope)), []).append(unread)
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


def _place(scope: str) -> str:
    """The subscription of a single resource that was not read: a refusal there is told once, not for each of them."""
    return "/".join(scope.split("/")[:3]) if subscription_of(scope) else scope


_AZURE = (CLUSTERS.told_as, SUBSCRIPTIONS.told_as)
"""Where clusters are seen; without any of these the scan sees none."""
