"""Identities, registries, networks and whatever else rights are about, as far as the watcher reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from . import shapes
from .entities import Registry, Resource, UserAssignedIdentity
from .replies import GROUP, SUBSCRIPTION, Match, Route, missing, page
from .world import Call, Reply, World, json_reply

_IDENTITIES = r"/providers/Microsoft\.ManagedIdentity/userAssignedIdentities"
_REGISTRIES = r"/providers/Microsoft\.ContainerRegistry/registries"
_NETWORK = r"/providers/(?P<kind>Microsoft\.Network/(?:virtualNetworks|routeTables|natGateways|privateDnsZones))"

Item = TypeVar("Item", UserAssignedIdentity, Registry, Resource)


class Estate:
    """Microsoft.ManagedIdentity, Microsoft.ContainerRegistry and Microsoft.Network."""

    def __init__(self, world: World) -> None:
        self._world = world
        identity, registry = rf"{GROUP}{_IDENTITIES}/(?P<name>[^/]+)", rf"{GROUP}{_REGISTRIES}/(?P<name>[^/]+)"
        self.routes: tuple[Route, ...] = (
            ("GET", SUBSCRIPTION + _IDENTITIES, self._identities),
            ("GET", GROUP + _IDENTITIES, self._identities),
            ("GET", identity, self._identity),
            ("GET", rf"{identity}/federatedIdentityCredentials", self._credentials),
            ("GET", SUBSCRIPTION + _REGISTRIES, self._registries),
            ("GET", GROUP + _REGISTRIES, self._registries),
            ("GET", registry, self._registry),
            ("GET", SUBSCRIPTION + _NETWORK, self._networks),
            ("GET", GROUP + _NETWORK, self._networks),
            ("GET", rf"{GROUP}{_NETWORK}/(?P<name>[^/]+)", self._network),
            ("GET", rf"{GROUP}{_NETWORK}/(?P<name>[^/]+)/subnets", self._subnets),
            ("GET", rf"{GROUP}{_NETWORK}/(?P<name>[^/]+)/subnets/(?P<subnet>[^/]+)", self._network),
        )

    def _identities(self, call: Call, match: Match) -> Reply:
        return self._listed(call, match, self._world.tenant.identities, shapes.user_assigned_identity)

    def _identity(self, call: Call, match: Match) -> Reply:
        found = _one(call, self._world.tenant.identities)
        if found is None:
            return missing("Microsoft.ManagedIdentity/userAssignedIdentities", match["name"], match["group"])
        return json_reply(shapes.user_assigned_identity(found, self._world.tenant.id))

    def _credentials(self, call: Call, match: Match) -> Reply:
        wanted = call.path.rstrip("/").lower().rpartition("/")[0]
        found = next((one for one in self._world.tenant.identities if one.id.lower() == wanted), None)
        if found is None:
            return missing("Microsoft.ManagedIdentity/userAssignedIdentities", match["name"], match["group"])
        shown = [shapes.federated_credential(one, found) for one in found.credentials]
        return page(self._world, call, shown)

    def _registries(self, call: Call, match: Match) -> Reply:
        return self._listed(call, match, self._world.tenant.registries, shapes.registry)

    def _registry(self, call: Call, match: Match) -> Reply:
        found = _one(call, self._world.tenant.registries)
        if found is None:
            return missing("Microsoft.ContainerRegistry/registries", match["name"], match["group"])
        return json_reply(shapes.registry(found, self._world.tenant.id))

    def _networks(self, call: Call, match: Match) -> Reply:
        wanted = [one for one in self._world.tenant.resources if one.type.lower() == match["kind"].lower()]
        return self._listed(call, match, wanted, self._shown)

    def _network(self, call: Call, match: Match) -> Reply:
        found = _one(call, self._world.tenant.resources)
        if found is None:
            subnet = match.groupdict().get("subnet")
            name = f"{match['name']}/subnets/{subnet}" if subnet else match["name"]
            return missing(match["kind"], name, match["group"])
        return json_reply(self._shown(found, self._world.tenant.id))

    def _subnets(self, call: Call, match: Match) -> Reply:
        inside = call.path.rstrip("/").lower() + "/"
        found = [one for one in self._world.tenant.resources if one.id.lower().startswith(inside)]
        return self._listed(call, match, found, self._shown)

    def _shown(self, entity: Resource, tenant_id: str) -> dict[str, Any]:
        body = shapes.resource(entity, tenant_id)
        if entity.type == "Microsoft.Network/virtualNetworks":
            inside = [one for one in self._world.tenant.resources if one.id.startswith(f"{entity.id}/subnets/")]
            body["properties"]["subnets"] = [shapes.resource(one, tenant_id) for one in inside]
        return body

    def _listed(
        self, call: Call, match: Match, items: Iterable[Item], shape: Callable[[Item, str], dict[str, Any]]
    ) -> Reply:
        subscription, group = match["subscription"].lower(), match.groupdict().get("group")
        shown = [
            shape(one, self._world.tenant.id)
            for one in items
            if one.subscription_id.lower() == subscription and (group is None or one.group.lower() == group.lower())
        ]
        return page(self._world, call, shown)


def _one(call: Call, items: Iterable[Item]) -> Item | None:
    wanted = call.path.rstrip("/").lower()
    return next((one for one in items if one.id.lower() == wanted), None)
