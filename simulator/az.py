"""`az role assignment create`, as far as a card's command uses it: the line is read and done through Resource Manager.

https://learn.microsoft.com/cli/azure/role/assignment#az-role-assignment-create
"""

from __future__ import annotations

import re
import shlex
import ssl
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from .access import ASSIGNMENTS, RoleAssignment

if TYPE_CHECKING:
    from .server import Simulator

COMMAND = ["az", "role", "assignment", "create"]
REQUIRED = ("assignee-object-id", "role", "scope")
FLAGS = (*REQUIRED, "assignee-principal-type", "condition", "condition-version")
TYPES = ("User", "Group", "ServicePrincipal", "ForeignGroup")
API = "2022-04-01"


class UsageError(Exception):
    """A line that az would refuse, or that says more than is simulated."""


@dataclass(frozen=True, kw_only=True)
class Create:
    """What the line asks for; `role` is a GUID or a name."""

    assignee: str
    role: str
    scope: str
    principal_type: str | None = None
    condition: str | None = None
    condition_version: str | None = None


def parse(line: str) -> Create:
    """The line, taken apart as a POSIX shell does; raises UsageError."""
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    if words[:4] != COMMAND:
        raise UsageError(f"not {' '.join(COMMAND)}: {line}")
    given: dict[str, str] = {}
    rest = iter(words[4:])
    for word in rest:
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--")
        if not flag.startswith("--") or name not in FLAGS:
            raise UsageError(f"unrecognized arguments: {word}")
        if name in given:
            raise UsageError(f"{flag} is given twice")
        given[name] = value if equals else next(rest, "--")
        if not given[name] or given[name].startswith("--"):
            raise UsageError(f"{flag}: expected one argument")
    lacking = [f"--{name}" for name in REQUIRED if name not in given]
    if lacking:
        raise UsageError(f"the following arguments are required: {', '.join(lacking)}")
    kind = given.get("assignee-principal-type")
    if kind is not None and kind not in TYPES:
        raise UsageError(f"'{kind}' is not a valid value for '--assignee-principal-type'")
    if "condition-version" in given and "condition" not in given:
        raise UsageError("--condition must be set when --condition-version is set")
    return Create(
        assignee=given["assignee-object-id"],
        role=given["role"],
        scope=given["scope"],
        principal_type=kind,
        condition=given.get("condition"),
        condition_version=given.get("condition-version"),
    )


def run(azure: Simulator, line: str, who: str) -> RoleAssignment:
    """Do what the line says as a user or an app; raises UsageError, or httpx.HTTPStatusError with ARM's answer."""
    wanted = parse(line)
    headers = {"Authorization": f"Bearer {azure.token(who)}"}
    context = ssl.create_default_context(cafile=azure.environment["SSL_CERT_FILE"])
    with httpx.Client(base_url=azure.origins["arm"], verify=context, headers=headers) as client:
        properties: dict[str, Any] = {
            "roleDefinitionId": _role(client, wanted),
            "principalId": wanted.assignee,
            "principalType": wanted.principal_type,
            "condition": wanted.condition,
            # az fills in the version that it was not told.
            "conditionVersion": wanted.condition_version or ("2.0" if wanted.condition else None),
        }
        path = f"{wanted.scope.rstrip('/')}{ASSIGNMENTS}{uuid.uuid4()}"
        answer = client.put(path, params={"api-version": API}, json={"properties": properties})
        answer.raise_for_status()
    found = azure.tenant.access.find(answer.json()["id"])
    assert found
    return found


def _role(client: httpx.Client, wanted: Create) -> str:
    subscription = re.match(r"/subscriptions/[^/]+", wanted.scope, re.IGNORECASE)
    prefix = f"{subscription[0] if subscription else ''}/providers/Microsoft.Authorization/roleDefinitions"
    if re.fullmatch(r"[0-9a-fA-F-]{36}", wanted.role):
        return f"{prefix}/{wanted.role}"
    where = {"api-version": API, "$filter": "roleName eq '{}'".format(wanted.role.replace("'", "''"))}
    answer = client.get(prefix, params=where)
    answer.raise_for_status()
    found = answer.json()["value"]
    if len(found) != 1:
        raise UsageError(f"Role '{wanted.role}' doesn't exist.")
    return str(found[0]["id"])
