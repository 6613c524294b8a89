"""Resource providers: which types they have, by which API versions, and resources that no other module answers for.

Shapes: https://learn.microsoft.com/rest/api/resources/providers/get and .../resources/get-by-id.
"""

from __future__ import annotations

from . import shapes
from .replies import GROUP, SUBSCRIPTION, Match, Route, error, missing
from .world import Call, Reply, World, json_reply

VERSIONS = ("2025-04-01", "2024-11-01", "2022-09-01", "2021-04-01")
"""API versions of Resource Manager itself."""

PROVIDERS = {
    "Microsoft.DevCenter": {"devcenters": ("2025-10-01-preview", "2025-07-01-preview")},
    "Microsoft.KeyVault": {
        "vaults": ("2025-05-01", "2024-12-01-preview", "2024-11-01"),
        "vaults/secrets": ("2025-05-01", "2024-12-01-preview", "2024-11-01"),
        "operations": ("2025-05-01", "2024-11-01"),
    },
    "Microsoft.ServiceBus": {
        "namespaces": ("2025-05-01-preview", "2024-01-01", "2022-10-01-preview", "2021-11-01"),
        "namespaces/queues": ("2025-05-01-preview", "2024-01-01", "2022-10-01-preview", "2021-11-01"),
        "operations": ("2024-01-01", "2021-11-01"),
    },
    "Microsoft.Storage": {"storageAccounts": ("2025-06-01", "2024-01-01", "2018-03-01-preview")},
}
"""API versions of types of resources, the newest first; what the other modules answer for is not here."""


class Providers:
    """The metadata of resource providers, and the resources of their types by id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes: tuple[Route, ...] = (
            ("GET", rf"{SUBSCRIPTION}/providers/(?P<namespace>[^/]+)", self._provider),
            ("GET", rf"{GROUP}/providers/(?P<namespace>[^/]+)/(?P<rest>[^/]+/[^/]+(?:/[^/]+/[^/]+)*)", self._resource),
        )

    def _provider(self, call: Call, match: Match) -> Reply:
        asked = call.query["api-version"]
        if asked not in VERSIONS:
            text = f"The api-version '{asked}' is invalid. The supported versions are '{','.join(VERSIONS)}'."
            return error(400, "InvalidApiVersionParameter", text)
        namespace = _named(match["namespace"])
        if not namespace:
            return _no_namespace(match["namespace"])
        body = {
            "id": f"/subscriptions/{match['subscription']}/providers/{namespace}",
            "namespace": namespace,
            "resourceTypes": [
                {"resourceType": name, "locations": ["West Europe"], "apiVersions": versions, "capabilities": "None"}
                for name, versions in PROVIDERS[namespace].items()
            ],
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationRequired",
        }
        return json_reply(body)

    def _resource(self, call: Call, match: Match) -> Reply:
        namespace, segments = _named(match["namespace"]), match["rest"].split("/")
        if not namespace:
            return _no_namespace(match["namespace"])
        kind, name = "/".join(segments[::2]), "/".join(segments[1::2])
        types = {one.lower(): versions for one, versions in PROVIDERS[namespace].items()}
        asked = call.query["api-version"]
        if kind.lower() not in types:
            text = (
                f"The resource type '{kind}' could not be found in the namespace '{namespace}' for api version "
                f"'{asked}'. The supported api-versions are ''."
            )
            return error(404, "InvalidResourceType", text)
        if asked not in types[kind.lower()]:
            text = (
                f"No registered resource provider found for location 'westeurope' and API version '{asked}' for type "
                f"'{kind}'. The supported api-versions are '{', '.join(types[kind.lower()])}'. The supported locations "
                "are 'westeurope'."
            )
            return error(400, "NoRegisteredProviderFound", text)
        wanted = call.path.rstrip("/").lower()
        found = next((one for one in self._world.tenant.resources if one.id.lower() == wanted), None)
        if found is None:
            return missing(f"{namespace}/{kind}", name, match["group"])
        return json_reply(shapes.resource(found, self._world.tenant.id))


def _named(namespace: str) -> str:
    """A namespace as its provider spells it; empty if there is none."""
    return next((one for one in PROVIDERS if one.lower() == namespace.lower()), "")


def _no_namespace(namespace: str) -> Reply:
    return error(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")
