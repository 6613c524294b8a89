"""Subscriptions with clusters that do not report to this app."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import EventSubscription, ManagedCluster, Severity, Snapshot, Subscription, covers
from ..rule import Hit, Runbook, rule


@rule(
    reads=(Subscription, ManagedCluster, EventSubscription),
    absence=(EventSubscription,),
    severity=Severity.INFO,
    severities="info",
    title="A subscription does not report to Fusewatch",
    runbook=Runbook(
        symptom="A role assignment that is deleted there is told by the next scan, hours later, instead of within "
        "minutes, and without the name of who deleted it.",
        cause="No event subscription of the subscription's system topic delivers to this app.",
        confirm="az eventgrid system-topic list --subscription {subscription} --output table",
        fix="./deploy TENANT --stage events",
        durable="Name the subscription among the monitored ones in the tenant's parameter file, and run the "
        "events stage "
        "again.",
        caveat="TENANT is the name of the parameter file. A subscription has one system topic at most: if there "
        "is one for "
        "another purpose, the stage adds to it.",
    ),
    docs="https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions",
)
def subscription_not_wired(snapshot: Snapshot) -> Iterator[Hit]:
    """A readable subscription with clusters has no event subscription that delivers to this app."""
    if not snapshot.function_app_id:
        return
    wired = {
        one.id.lower().split("/")[2]
        for one in snapshot.event_subscriptions
        if covers(snapshot.function_app_id, one.function_id)
        and one.state.lower() not in ("failed", "deleting", "canceled")
    }
    for subscription in snapshot.subscriptions:
        name = subscription.subscription_id.lower()
        count = sum(one.subscription_id.lower() == name for one in snapshot.clusters)
        if count and name not in wired:
            yield Hit(
                resource_id=subscription.id,
                resource_name=subscription.name or subscription.subscription_id,
                key="",
                title=f"Subscription {subscription.name or name} with {count} cluster{'' if count == 1 else 's'} "
                f"does not "
                "report to Fusewatch",
                facts={"subscription": subscription.subscription_id},
                absent_in=subscription.id,
            )
