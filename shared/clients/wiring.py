"""Where the events of subscriptions go: their system topics, through azure-mgmt-eventgrid.

https://learn.microsoft.com/rest/api/eventgrid/controlplane/system-topics/list-by-subscription.
"""

from __future__ import annotations

from typing import Any

import msgspec
from azure.mgmt.eventgrid.aio import EventGridManagementClient

from ..model import EventSubscription
from .aks import segment
from .http import Arm, NotFoundError

TOPIC_READER = "Reader (Microsoft.EventGrid/systemTopics/read)"
READER = "Reader (Microsoft.EventGrid/systemTopics/eventSubscriptions/read)"
SOURCE = "microsoft.resources.subscriptions"
"""The topic type of what happens in a subscription."""


class _TopicProperties(msgspec.Struct, rename="camel"):
    topic_type: str | None = None


class _Topic(msgspec.Struct):
    id: str
    name: str
    properties: _TopicProperties | None = None


class _Target(msgspec.Struct, rename="camel"):
    resource_id: str | None = None


class _Destination(msgspec.Struct):
    properties: _Target | None = None


class _Delivery(msgspec.Struct):
    destination: _Destination | None = None


class _Properties(msgspec.Struct, rename="camel"):
    provisioning_state: str | None = None
    destination: _Destination | None = None
    delivery_with_resource_identity: _Delivery | None = None


class _Subscription(msgspec.Struct):
    id: str
    properties: _Properties | None = None


def event_subscription(item: Any) -> EventSubscription:
    """An event subscription of the SDK as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(item.as_dict(), _Subscription)
    properties = wire.properties or _Properties()
    delivery = properties.delivery_with_resource_identity or _Delivery()
    destination = properties.destination or delivery.destination or _Destination()
    return EventSubscription(
        id=wire.id,
        function_id=(destination.properties.resource_id or "") if destination.properties else "",
        state=properties.provisioning_state or "",
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
                topics = [msgspec.convert(item.as_dict(), _Topic) async for item in listing]
            for topic in topics:
                if not topic.properties or (topic.properties.topic_type or "").lower() != SOURCE:
                    continue
                try:
                    async with self._arm.reading(EventSubscription, scope, READER):
                        group = segment(topic.id, "resourcegroups")
                        many = client.system_topic_event_subscriptions.list_by_system_topic(
                            group, topic.name, listing=True
                        )
                        found += [event_subscription(item) async for item in many]
                except NotFoundError:
                    # It was deleted since it was listed.
                    continue
        return found
