"""Where the events of subscriptions go: their system topics, through azure-mgmt-eventgrid.

https://learn.microsoft.com/rest/api/eventgrid/controlplane/system-topics/list-by-subscription.
"""

from __future__ import annotations

from typing import Any

from azure.mgmt.eventgrid.aio import EventGridManagementClient

from .. import sources
from ..model import EventSubscription
from .aks import segment
from .http import Arm, NotFoundError

TOPIC_READER = sources.TOPICS.permission
READER = sources.SUBSCRIBED.permission
SOURCE = "microsoft.resources.subscriptions"
"""The topic type of what happens in a subscription."""


def event_subscription(item: Any) -> EventSubscription:
    """An event subscription of the SDK as a record; raises ValueError for one without an id."""
    if not item.id:
        raise ValueError("an event subscription without an id")
    delivery = item.delivery_with_resource_identity
    destination = item.destination or (delivery.destination if delivery else None)
    return EventSubscription(
        id=item.id,
        # Of the destinations, functions, topics and queues are resources; webhooks are not.
        function_id=getattr(destination, "resource_id", None) or "",
        state=item.provisioning_state or "",
    )


class Wiring:
    """Reads system topics and what is subscribed to them; every method raises ReadError."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def list_event_subscriptions(self, subscription_id: str) -> list[EventSubscription]:
        """The event subscriptions on the system topics of a subscription itself, not of resources in it."""
        scope = f"/subscriptions/{subscription_id}"
        client = self._arm.client(EventGridManagementClient, subscription_id)
        found: list[EventSubscription] = []
        async with client:
            async with self._arm.reading(EventSubscription, scope, TOPIC_READER):
                listing = client.system_topics.list_by_subscription(listing=True)
                topics = [
                    (segment(item.id or "", "resourcegroups"), item.name or "")
                    async for item in listing
                    if (item.topic_type or "").lower() == SOURCE
                ]
            for group, name in topics:
                try:
                    async with self._arm.reading(EventSubscription, scope, READER):
                        many = client.system_topic_event_subscriptions.list_by_system_topic(group, name, listing=True)
                        found += [event_subscription(item) async for item in many]
                except NotFoundError:
                    # It was deleted since it was listed.
                    continue
        return found
