"""Teams channels that take no cards any more."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Refusal, Severity, Snapshot
from ..rule import Hit, Runbook, date_text, rule


@rule(
    reads=(Refusal,),
    severity=Severity.WARNING,
    severities="warning, told to the fallback",
    title="A Teams channel refuses cards for good",
    runbook=Runbook(
        symptom="The team is not told of its findings; the fallback channel gets them, and they stay due for the team.",
        cause="The webhook's flow was deleted or turned off, its owner's account is gone, or its address changed: it "
        "answered HTTP 400, 401, 403, 404 or 410, or the setting holds no address.",
        confirm="python -m shared findings",
        fix="python -m shared webhook-test {team}",
        durable="Make the flow anew in that channel, owned by an account that stays, and set its address "
        "(`./deploy TENANT --webhook`, docs/operations.md).",
        caveat="The command sends a test card. Once the channel takes a card, the next scan calls this resolved.",
    ),
    docs="https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using",
)
def receiver_refused(snapshot: Snapshot) -> Iterator[Hit]:
    """A receiver refused a card for good, and has taken none since."""
    for refusal in snapshot.refusals:
        whose = f"team {refusal.receiver}" if refusal.receiver else "the fallback"
        yield Hit(
            resource_id=f"/receivers/{refusal.receiver or 'fallback'}",
            resource_name=whose,
            key="refused",
            title=f"The channel of {whose} has refused cards since {date_text(refusal.since)}: {refusal.reason}",
            facts={"team": ["--team", refusal.receiver] if refusal.receiver else []},
        )
