"""Microsoft.EventGrid: the system topics of subscriptions, and the event subscriptions on them.

Shapes: https://learn.microsoft.com/rest/api/eventgrid/controlplane/system-topics. What is delivered where is the
business of eventgrid.py; these say only what Resource Manager shows.
"""

from __future__ import annotations

from typing import Any

from .entities import EventSubscription, SystemTopic
from .replies import GROUP, SUBSCRIPTION, Match, Route, missing, page
from .world import Call, Reply, World, json_reply

TYPE = "Microsoft.EventGrid/systemTopics"
_TOPICS = r"/providers/Microsoft\.EventGrid/systemTopics"


class Topics:
    """Answers for system topics and what is subscribed to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        one = rf"{GROUP}{_TOPICS}/(?P<name>[^/]+)"
        self.routes: tuple[Route, ...] = (
            ("GET", SUBSCRIPTION + _TOPICS, self._topics),
            ("GET", GROUP + _TOPICS, self._topics),
            ("GET", one, self._topic),
            ("GET", rf"{one}/eventSubscriptions", self._subscriptions),
        )

    def _topics(self, call: Call, match: Match) -> Reply:
        subscription, group = match["subscription"].lower(), match.groupdict().get("group")
        shown = [
            _shown(one)
            for one in self._world.tenant.topics
            if one.subscription_id.lower() == subscription and (group is None or one.group.lower() == group.lower())
        ]
        return page(self._world, call, shown)

    def _topic(self, call: Call, match: Match) -> Reply:
        found = self._find(match)
        return json_reply(_shown(found)) if found else missing(TYPE, match["name"], match["group"])

    def _subscriptions(self, call: Call, match: Match) -> Reply:
        found = self._find(match)
        if found is None:
            return missing(TYPE, match["name"], match["group"])
        return page(self._world, call, [_subscribed(one, found) for one in found.subscriptions])

    def _find(self, match: Match) -> SystemTopic | None:
        asked = tuple(match[name].lower() for name in ("subscription", "group", "name"))
        for one in self._world.tenant.topics:
            if (one.subscription_id.lower(), one.group.lower(), one.name.lower()) == asked:
                return one
        return None


def _shown(entity: SystemTopic) -> dict[str, Any]:
    return {
        "properties": {
            "provisioningState": entity.state,
            "source": entity.source or f"/subscriptions/{entity.subscription_id}",
            "topicType": entity.topic_type,
        },
        "location": "global",
        "tags": {},
        "id": entity.id,
        "name": entity.name,
        "type": TYPE,
    }


def _subscribed(entity: EventSubscription, topic: SystemTopic) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "topic": topic.id,
        "provisioningState": entity.state,
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {
                "resourceId": entity.function_id,
                "maxEventsPerBatch": 1,
                "preferredBatchSizeInKilobytes": 64,
            },
        },
        "filter": {
            "subjectBeginsWith": "",
            "subjectEndsWith": "",
            "includedEventTypes": [
                "Microsoft.Resources.ResourceDeleteSuccess",
                "Microsoft.Resources.ResourceWriteSuccess",
            ],
            "advancedFilters": [{"operatorType": "StringIn", "key": "data.operationName", "values": entity.operations}],
        },
        "labels": [],
        "eventDeliverySchema": "EventGridSchema",
        "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440},
    }
    if entity.dead_letters:
        properties["deadLetterWithResourceIdentity"] = {
            "identity": {"type": "SystemAssigned"},
            "deadLetterDestination": {
                "endpointType": "StorageBlob",
                "properties": {"resourceId": entity.dead_letters, "blobContainerName": "events"},
            },
        }
    return {
        "id": f"{topic.id}/eventSubscriptions/{entity.name}",
        "name": entity.name,
        "type": f"{TYPE}/eventSubscriptions",
        "properties": properties,
    }
