"""Applications whose credential ends soon, and that nobody owns."""

from __future__ import annotations

from collections.abc import Iterator

from ..credentials import held, matters, successor
from ..model import Application, Owner, Severity, Snapshot
from ..rule import Hit, Runbook, date_text, rule


@rule(
    reads=(Application, Owner),
    absence=(Owner,),
    severity=Severity.INFO,
    severities="info",
    title="An application with a credential that ends has no owner",
    runbook=Runbook(
        symptom="Nobody is named on the card that says when the credential ends, so nobody may feel addressed.",
        cause="Neither the application nor its service principal has an owner in Entra.",
        confirm="az ad app owner list --id {object_id}",
        fix="OWNER=$(az ad signed-in-user show --query id --output tsv)\n"
        'az ad app owner add --id {object_id} --owner-object-id "$OWNER"',
        durable="Give every app two owners when it is made, people who stay.",
        caveat="The commands make whoever runs them the owner: set OWNER to the object id of somebody else if need be.",
    ),
    docs="https://learn.microsoft.com/entra/identity/enterprise-apps/overview-assign-app-owners",
)
def entra_application_without_owner(snapshot: Snapshot) -> Iterator[Hit]:
    """An application has a credential near its end that nothing replaces, and no owner."""
    for application in snapshot.applications:
        # One that was not asked for is not in the mapping: unknown is not none.
        if snapshot.owners.get(application.id) != ():
            continue
        every = held(application.credentials)
        ends = [
            one.credential.end
            for one in every
            if one.credential.end
            and matters(one.credential, snapshot.taken, snapshot.thresholds)
            and not successor(one, every, snapshot.taken, snapshot.thresholds)
        ]
        if not ends:
            continue
        name = application.name or application.app_id
        end = min(ends)
        verb = "ended" if end <= snapshot.taken else "ends"
        yield Hit(
            resource_id=application.id,
            resource_name=name,
            key="owner",
            title=f"Application {name} has no owner, and its credential {verb} on {date_text(end)}",
            facts={"app_id": application.app_id, "object_id": application.object_id},
            absent_in=application.id,
        )
