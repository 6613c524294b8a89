"""Microsoft.Authorization: role assignments and role definitions."""

from __future__ import annotations

import gzip
import json
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable

from .access import RoleAssignment, RoleDefinition, built_in_roles, parts
from .actions import Actions
from .identity import caller_of
from .paging import Place, place_of
from .replies import Match, Route, error, next_link, page
from .shapes import role_assignment, role_definition
from .world import Call, Reply, World, compact, json_reply

_SCOPE = r"(?P<scope>.*?)/providers/Microsoft\.Authorization"
_CLAUSE = re.compile(r"\s*(?:(atScope)\(\)|assignedTo\('([^']*)'\)|principalId eq '([^']*)')\s*", re.IGNORECASE)
CACHED = 1024
"""Pages that are kept until an assignment changes."""


class BadFilterError(Exception):
    """A $filter that the service refuses."""


class Authorization:
    """Answers for role assignments and roles at any scope."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pages: OrderedDict[tuple[object, ...], Reply] = OrderedDict()
        self._whole: tuple[tuple[object, ...], list[RoleAssignment]] = ((), [])
        """The listing that was asked for last."""
        assignments, definitions = rf"{_SCOPE}/roleAssignments", rf"{_SCOPE}/roleDefinitions"
        # An assignment can be made on an assignment: the last one in the path is meant.
        one = r"(?P<scope>.*)/providers/Microsoft\.Authorization/roleAssignments/(?P<name>[^/]+)"
        self.routes: tuple[Route, ...] = (
            ("GET", assignments, self._list),
            ("GET", one, self._get),
            ("PUT", one, self._put),
            ("DELETE", one, self._delete),
            ("GET", definitions, self._roles),
            ("GET", rf"{definitions}/(?P<name>[^/]+)", self._role),
        )

    def _list(self, call: Call, match: Match) -> Reply:
        where, scope = call.query.get("$filter", ""), match["scope"] or "/"
        pack = self._world.compress and call.packs
        if where or self._ghosts():
            # What a filter finds depends on groups, too, and is never much.
            try:
                at_scope, principals = self._filter(where) if where else (False, None)
                return self._page(call, self._found(scope, at_scope, principals), pack)
            except BadFilterError as problem:
                return error(400, "InvalidFilter", str(problem))
        access = self._world.tenant.access
        tree = tuple((one.name, one.parent, *one.subscriptions) for one in access.management_groups)
        whole = (access.version, scope.lower(), tree)
        asked = (call.path, call.query.get("$skiptoken"), call.query["api-version"])
        kept = (*whole, *asked, self._world.assignments_page_size, pack)
        reply = self._pages.get(kept)
        if reply is None:
            if self._whole[0] != whole:
                self._whole = whole, self._found(scope, False, None)
            reply = self._pages[kept] = self._page(call, self._whole[1], pack)
            if len(self._pages) > CACHED:
                self._pages.popitem(last=False)
        return reply

    def _page(self, call: Call, found: list[RoleAssignment], pack: bool) -> Reply:
        place = place_of(call.query)
        if place is None:
            return error(400, "InvalidSkipToken", "The provided skip token is invalid.")
        stop = place.offset + self._world.assignments_page_size
        body: dict[str, object] = {"value": [role_assignment(one) for one in found[place.offset : stop]]}
        if stop < len(found):
            body["nextLink"] = next_link(self._world, call, Place(stop, place.number + 1))
        if not pack:
            return json_reply(body)
        headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
        return Reply(200, gzip.compress(compact(body), 1, mtime=0), headers)

    def _found(self, scope: str, at_scope: bool, principals: list[str] | None) -> list[RoleAssignment]:
        access = self._world.tenant.access
        covering = access.covering(scope)
        held = list(access if principals is None else access.of(principals))
        wanted = None if principals is None else {one.lower() for one in principals}
        held += [one for one in self._ghosts() if wanted is None or one.principal_id.lower() in wanted]
        return [one for one in held if covering.above(one.scope) or (not at_scope and covering.below(one.scope))]

    def _ghosts(self) -> list[RoleAssignment]:
        """The assignments that are gone, and that a lagging replica still shows."""
        access, world = self._world.tenant.access, self._world
        ghosts = [one for one, at in access.ghosts if at <= world.now < at + world.replica_lag]
        return [one for one in ghosts if not access.find(one.id)]

    def _filter(self, where: str) -> tuple[bool, list[str] | None]:
        """Whether only assignments at and above the scope are wanted, and those of which principals."""
        at_scope, principals, narrowed, direct = False, list[str](), False, False
        for clause in re.split(r"\s+and\s+", where, flags=re.IGNORECASE):
            match = _CLAUSE.fullmatch(clause)
            if not match:
                raise BadFilterError(f"The filter '{where}' is not supported.")
            if match[1]:
                at_scope = True
            else:
                narrowed, direct = True, match[3] is not None
                principals.append(match[2] or match[3] or "")
        if at_scope and direct:
            raise BadFilterError("atScope() and principalId cannot be combined.")
        if narrowed and not direct:
            principals += [group.id for one in principals for group in self._world.tenant.access.memberships(one)]
        return at_scope, principals if narrowed else None

    def _get(self, call: Call, match: Match) -> Reply:
        wanted = call.path.rstrip("/")
        ghosts = (one for one in self._ghosts() if one.id.lower() == wanted.lower())
        found = self._world.tenant.access.find(wanted) or next(ghosts, None)
        return json_reply(role_assignment(found)) if found else _no_assignment(match["name"])

    def _delete(self, call: Call, match: Match) -> Reply:
        gone = self._actions().unassign(call.path.rstrip("/"), self._caller(call))
        # Nothing to delete is no error: https://learn.microsoft.com/rest/api/authorization/role-assignments/delete
        return json_reply(role_assignment(gone)) if gone else Reply(204)

    def _put(self, call: Call, match: Match) -> Reply:
        access = self._world.tenant.access
        try:
            properties = json.loads(call.body)["properties"]
            principal, role = str(properties["principalId"]), str(properties["roleDefinitionId"])
            uuid.UUID(match["name"])
        except (ValueError, KeyError, TypeError):
            return error(400, "InvalidCreateRoleAssignmentRequest", "The request to create a role assignment is wrong.")
        try:
            definition = access.role(role)
        except KeyError:
            return _no_role(role)
        if not self._known(principal) and not properties.get("principalType"):
            return error(400, "PrincipalNotFound", f"Principal {principal} does not exist in the directory.")
        scope = match["scope"] or "/"
        for one in access.of([principal]):
            same = parts(one.scope) == parts(scope) and one.role == definition.id
            if same and one.name.lower() != match["name"].lower():
                return error(409, "RoleAssignmentExists", f"The role assignment already exists. The ID is {one.name}.")
        there = access.find(call.path.rstrip("/"))
        made = self._actions().assign(
            principal,
            role,
            scope,
            self._caller(call),
            name=match["name"],
            principal_type=properties.get("principalType") or "",
            condition=properties.get("condition"),
            condition_version=properties.get("conditionVersion"),
        )
        return json_reply(role_assignment(made), 200 if there else 201)

    def _known(self, object_id: str) -> bool:
        tenant = self._world.tenant
        ids = {*(user.id for user in tenant.users), *(group.id for group in tenant.access.groups)}
        return object_id in ids or tenant.service_principals.peek(object_id) is not None

    def _roles(self, call: Call, match: Match) -> Reply:
        subscription = _subscription(match["scope"])
        covering = self._world.tenant.access.covering(match["scope"] or "/")
        shown = [
            role_definition(one, subscription)
            for one in (*built_in_roles(), *self._world.tenant.access.custom_roles)
            if any(covering.above(scope) or covering.below(scope) for scope in one.assignable_scopes)
            and _wanted(call.query.get("$filter", ""))(one)
        ]
        # The service sends all roles at once: a recorded listing of 495 has no nextLink.
        return page(self._world, call, shown, size=max(len(shown), 1))

    def _role(self, call: Call, match: Match) -> Reply:
        try:
            return json_reply(
                role_definition(self._world.tenant.access.role(match["name"]), _subscription(match["scope"]))
            )
        except KeyError:
            return _no_role(match["name"])

    def _actions(self) -> Actions:
        return Actions(self._world.tenant, self._world.now)

    def _caller(self, call: Call) -> str:
        return caller_of(self._world, call)


def _wanted(where: str) -> Callable[[RoleDefinition], bool]:
    """The test of a listing's $filter: by name or by type."""
    match = re.fullmatch(r"\s*(roleName|type) eq '([^']*)'\s*", where, re.IGNORECASE)
    if not match:
        return lambda role: True
    if match[1].lower() == "rolename":
        return lambda role: role.name == match[2]
    return lambda role: role.custom == (match[2] == "CustomRole")


def _subscription(scope: str) -> str:
    segments = [segment for segment in scope.split("/") if segment]
    return segments[1] if len(segments) > 1 and segments[0].lower() == "subscriptions" else ""


def _no_assignment(name: str) -> Reply:
    return error(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")


def _no_role(name: str) -> Reply:
    role = name.rpartition("/")[2]
    return error(404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{role}' does not exist.")
