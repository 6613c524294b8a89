"""The command of a card, run against the simulator."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from simulator import Simulator, load, parse
from simulator.az import UsageError, run
from simulator.az import parse as parse_line

from .clients import Start
from .test_simulated_access import table
from .test_simulated_changes import granted

LINE = "az role assignment create --assignee-object-id o --role r --scope /s"


@pytest.fixture
def contoso(start: Start) -> Simulator:
    return start(parse(table()))


def test_a_deleted_assignment_is_restored_as_it_was(contoso: Simulator) -> None:
    one = granted(contoso)
    contoso.actions.unassign(one.id, "Ann Lee")
    words = ["az", "role", "assignment", "create", "--assignee-object-id", one.principal_id]
    words += ["--assignee-principal-type", one.principal_type, "--role", one.role, "--scope", one.scope]
    words += [f"--condition={one.condition}", "--condition-version", "2.0"]
    again = run(contoso, shlex.join(words), "Ann Lee")
    assert again.name != one.name
    assert replace(again, name=one.name, created=one.created, created_by=one.created_by) == one
    assert contoso.tenant.log[-1].caller.upn == "ann.lee@contoso.example"
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        run(contoso, shlex.join(words), "Ann Lee")


def test_hostile_text_comes_back_to_the_letter(start: Start) -> None:
    azure = start(load("hostile"))
    (group,) = azure.tenant.access.groups
    (one,) = azure.tenant.access.of([group.id])
    assert one.condition is not None and "\n" in one.condition and "'" in one.condition
    azure.tenant.advance(datetime(2026, 11, 3, tzinfo=UTC))
    assert not azure.tenant.access.of([group.id]) and len(azure.tenant.log) == 2
    words = ["--assignee-object-id", group.id, "--assignee-principal-type", "Group", "--role", one.role]
    words += ["--scope", one.scope, "--condition", one.condition, "--condition-version", "2.0"]
    again = run(azure, "az role assignment create " + shlex.join(words), "[me](https://evil.example/me)")
    assert (again.condition, again.principal_type, again.scope) == (one.condition, "Group", one.scope)


def test_a_role_by_name_on_what_has_no_subscription(contoso: Simulator) -> None:
    principal = contoso.tenant.clusters[1].principal_id
    line = f"az role assignment create --assignee-object-id {principal} --role 'Monitoring Reader' --scope /"
    made = run(contoso, line, "Ann Lee")
    assert (made.scope, made.role) == ("/", contoso.tenant.access.role("Monitoring Reader").id)
    for name in ("Monitoring", "x' or roleName eq 'Reader"):
        with pytest.raises(UsageError, match="doesn't exist"):
            run(
                contoso,
                shlex.join(
                    [
                        "az",
                        "role",
                        "assignment",
                        "create",
                        "--assignee-object-id",
                        principal,
                        "--role",
                        name,
                        "--scope",
                        "/",
                    ]
                ),
                "Ann Lee",
            )


@pytest.mark.parametrize(
    "line",
    [
        "az role assignment delete --ids x",
        f"{LINE}; rm -rf /",
        f"{LINE} --assignee x",
        f"{LINE} --scope /t",
        f"{LINE} --condition",
        f"{LINE} --condition ''",
        f"{LINE} --condition-version 2.0",
        f"{LINE} --assignee-principal-type Robot",
        "az role assignment create --assignee-object-id --role r --scope /s",
        "az role assignment create --role r --scope /s",
        f"{LINE} 'unclosed",
        "",
    ],
)
def test_other_lines_are_refused(line: str) -> None:
    assert parse_line(LINE).scope == "/s"
    with pytest.raises(UsageError):
        parse_line(line)
