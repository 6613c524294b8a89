"""Events of a subscription's system topic, in both schemas that Event Grid delivers them in.

https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions; no delivery about a role assignment was ever
published, so their members are those of the generic schema.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Literal

from .entities import derived
from .operation import Operation

Schema = Literal["EventGridSchema", "CloudEventSchemaV1_0"]


def event(operation: Operation, tenant_id: str, schema: Schema, *, textual: bool = False) -> dict[str, Any]:
    """The event of a change; changes at a management group or the root raise none (they have no subscription).

    `textual`: authorization, claims and httpRequest are JSON texts, as an older description of the schema has them.
    """
    resource_id = _cased(operation)
    source = f"/subscriptions/{operation.subscription}"
    kind = "Microsoft.Resources.Resource" + ("DeleteSuccess" if operation.method == "DELETE" else "WriteSuccess")
    common = {"id": derived(tenant_id, "event", operation.id), "subject": resource_id}
    data = _data(operation, tenant_id, resource_id)
    if textual:
        data = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in data.items()}
    time = text(operation.at)
    if schema == "CloudEventSchemaV1_0":
        return {"source": source, **common, "type": kind, "time": time, "specversion": "1.0", "data": data}
    return {
        "topic": source,
        **common,
        "eventType": kind,
        "eventTime": time,
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": data,
    }


def text(at: datetime) -> str:
    """A time as Event Grid writes it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _data(operation: Operation, tenant_id: str, resource_id: str) -> dict[str, Any]:
    caller = operation.caller
    data: dict[str, Any] = {
        # The evidence is the caller's own grant, not what was changed.
        "authorization": {
            "scope": resource_id,
            "action": operation.action,
            "evidence": dict(operation.evidence),
        },
        "claims": caller.claims(tenant_id, operation.at),
        "correlationId": operation.id,
        "resourceProvider": operation.provider,
        "resourceUri": resource_id,
        "operationName": operation.action,
        "status": "Succeeded",
        "subscriptionId": operation.subscription,
        "tenantId": tenant_id,
    }
    if not operation.creates:
        data["httpRequest"] = {
            "clientRequestId": derived(tenant_id, "request", operation.id),
            "clientIpAddress": caller.address,
            "method": operation.method,
            "url": f"https://management.azure.com{resource_id}?api-version=2022-04-01",
        }
    return data


def _cased(operation: Operation) -> str:
    """The id in one of the cases that services send it in; which one depends on the operation alone."""
    plain = operation.resource_id
    lower_group = re.sub("/resourceGroups/", "/resourcegroups/", plain, flags=re.IGNORECASE)
    return (plain, lower_group, plain.upper())[int(operation.id[:4], 16) % 3]
