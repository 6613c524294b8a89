"""Events that were delivered and could not be understood."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import TENANT, Severity, Snapshot
from ..rule import Hit, Runbook, rule


@rule(
    reads=(),
    severity=Severity.WARNING,
    severities="warning",
    title="Events could not be understood",
    runbook=Runbook(
        symptom="What such an event told of is found by the next scan instead of within minutes, and without the "
        "culprit.",
        cause="Something else than the event subscription of this app delivers to the function, or Azure has changed "
        "the "
        "shape of its events.",
        confirm="python -m shared scan --dry-run --format json",
        fix="",
        durable="Look at the rows of partition `aside` in table `inbox`: each holds the event and what is wrong with "
        "it. "
        "Delete them when they are dealt with; the next scan resolves this finding.",
        caveat="An event that somebody forges looks the same, and can do no more than this. Without the rows, "
        "nobody can say "
        "any more what was delivered.",
    ),
    docs="https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions",
)
def event_not_understood(snapshot: Snapshot) -> Iterator[Hit]:
    """Event Grid delivered events that cannot be understood; they were set aside."""
    if not snapshot.aside:
        return
    reasons = sorted({one.problem for one in snapshot.aside})
    many = len(snapshot.aside)
    yield Hit(
        resource_id=TENANT,
        resource_name="the tenant",
        key="inbox",
        title=f"{many:,} event{'s' * (many > 1)} could not be understood: {'; '.join(reasons[:3])}",
        facts={"reasons": reasons},
    )
