"""When a lost right is told: after its grace, not while its cluster is updated, in doubt after half an hour; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from .findings import Finding

LONGEST = timedelta(minutes=60)
"""A Terraform update removes and re-creates role assignments, and the gap lasts as long as it; but not longer."""
UNREADABLE = timedelta(minutes=30)
"""How long a loss waits for a live read that fails, before it is told as not confirmed."""
TOGETHER = timedelta(minutes=2)
"""Losses so near to each other are one clean-up, and one card."""
_RETRY = timedelta(minutes=1)
_UPDATING = frozenset(
    {"updating", "upgrading", "scaling", "starting", "migrating", "reconcilingclusteretcdcertificates"}
)


def timed(
    finding: Finding, now: datetime, grace: timedelta, *, state: str | None, failure: str, lost: datetime | None
) -> Finding:
    """A pending finding as it may be told now, or with a later moment at which to look again.

    `state` is what its cluster does, in lower case, None if that was not read; `failure` why it could not be asked
    whether the loss stands; `lost` when an event or the log says that the right was lost last.
    """
    since = finding.lost_at or finding.first_seen
    if finding.lost_at and lost and lost > since:
        # It came back meanwhile, and this is another loss.
        finding, since = changed(finding, lost_at=lost), lost
        if now < lost + grace and now < finding.first_seen + LONGEST:
            return changed(finding, not_before=lost + grace)
    if state in _UPDATING and now < since + LONGEST:
        return changed(finding, not_before=now + _RETRY)
    # A cluster that cannot be read leaves the finding as it is, and nothing asked for it.
    failure = failure or ("the cluster could not be read" if state is None else "")
    if not failure:
        return changed(finding, pending=False, unconfirmed="")
    if now < max(since, finding.first_seen) + grace + UNREADABLE:
        return changed(finding, not_before=now + _RETRY)
    return changed(finding, pending=False, unconfirmed=failure)


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Losses of one clean-up wait for its last one, so that they are one card."""
    waiting = [one for one in findings if one.open and one.pending and one.not_before and one.lost_at]
    latest = max((one.not_before for one in waiting if one.not_before), default=None)
    after = []
    for one in findings:
        near = latest and one.not_before and one.lost_at and one.open and one.pending
        if near and latest and one.not_before and one.lost_at and latest - TOGETHER <= one.not_before < latest:
            one = changed(one, not_before=min(latest, one.lost_at + LONGEST))
        after.append(one)
    return after


def changed(finding: Finding, **fields: object) -> Finding:
    """The finding with other fields, and a new revision if one of them is news."""
    after = replace(finding, **fields)  # type: ignore[arg-type]
    return finding if after == finding else replace(after, revision=finding.revision + 1)
