"""The templates and the code name the same things: settings, functions, event operations, log texts."""

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping

import pytest

from .arm import resources
from .conftest import ROOT, compiled

EXPRESSION = re.compile(r"\[\w+\(")
"""A value that only Azure can know; the JSON of ROUTES is none."""

PLATFORM = {
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
"""Read by the Functions host, not by Settings."""

EXPECTED_OPERATIONS = {
    "Microsoft.Authorization/roleAssignments/delete",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.ContainerService/managedClusters/delete",
    "Microsoft.ContainerService/managedClusters/write",
    "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
}


class Recorder(Mapping[str, str]):
    """An environment that remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_read() -> set[str]:
    """Every name that Settings.from_env reads."""
    from shared.settings import Settings

    recorder = Recorder()
    Settings.from_env(recorder)
    # The webhooks are found by iterating; the connection string is what identity replaces.
    return (recorder.asked | {"TEAMS_WEBHOOK_URL"}) - {"AzureWebJobsStorage"}


def app_settings(tenant: str) -> dict[str, str]:
    sites = [
        one for one in compiled(f"{tenant}.snapshot")["predictedResources"] if one["type"] == "Microsoft.Web/sites"
    ]
    listed = sites[0]["properties"]["siteConfig"]["appSettings"]
    assert len({one["name"] for one in listed}) == len(listed)
    return {one["name"]: one["value"] for one in listed}


def test_the_app_has_every_setting_that_the_code_reads_and_no_other() -> None:
    assert app_settings("contoso").keys() - PLATFORM == settings_read()
    teams = {"TEAMS_WEBHOOK_URL_PAYMENTS", "TEAMS_WEBHOOK_URL_DATA_PLATFORM"}
    assert app_settings("fabrikam").keys() - PLATFORM == settings_read() | teams


@pytest.mark.parametrize("tenant", ["contoso", "fabrikam"])
def test_the_code_takes_the_values_that_the_templates_give(tenant: str) -> None:
    from shared.settings import Settings

    values = {name: "" if EXPRESSION.match(value) else value for name, value in app_settings(tenant).items()}
    found = Settings.from_env(values)
    assert found.warnings == ()
    assert found.function_app_id.startswith("/subscriptions/")
    assert len(found.routes) == (2 if tenant == "fabrikam" else 0)
    assert "client_id" not in values


def test_the_defaults_of_the_templates_are_those_of_the_code() -> None:
    from shared.settings import Settings

    given = {name: value for name, value in app_settings("contoso").items() if not EXPRESSION.match(value)}
    given.pop("FUNCTION_APP_ID")
    assert Settings.from_env(given) == Settings.from_env({})


def functions() -> set[str]:
    """The functions of function_app.py: those with a trigger."""
    file = ROOT / "function_app.py"
    if not file.is_file():
        pytest.skip("function_app.py is not there yet")
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            "trigger" in ast.unparse(one) for one in node.decorator_list
        ):
            found.add(node.name)
    return found


def event_subscriptions() -> list[dict]:
    return [one for one in resources(compiled("events")) if one["type"].endswith("/eventSubscriptions")]


def test_the_deployment_waits_for_the_functions_of_the_code() -> None:
    line = re.search(r"^functions=\((.+)\)$", (ROOT / "deploy").read_text(encoding="utf-8"), re.MULTILINE)
    assert line and set(line[1].split()) == {"scan_tenant", "on_role_change", "settle"}
    if "on_role_change" not in functions():
        pytest.skip("function_app.py has no on_role_change yet")
    assert set(line[1].split()) == functions()


def test_events_go_to_the_event_function() -> None:
    text = (ROOT / "infra/events/wire.bicep").read_text(encoding="utf-8")
    assert re.search(r"^var functionName = 'on_role_change'$", text, re.MULTILINE)


def test_the_filter_passes_the_operations_that_the_code_handles() -> None:
    wire = [
        one
        for one in compiled("contoso.events.snapshot")["predictedResources"]
        if one["type"].endswith("/eventSubscriptions")
    ]
    (advanced,) = wire[0]["properties"]["filter"]["advancedFilters"]
    assert advanced["operatorType"] == "StringIn" and advanced["key"] == "data.operationName"
    assert set(advanced["values"]) == EXPECTED_OPERATIONS
    assert set(wire[0]["properties"]["filter"]["includedEventTypes"]) == {
        "Microsoft.Resources.ResourceDeleteSuccess",
        "Microsoft.Resources.ResourceWriteSuccess",
    }
    if not importlib.util.find_spec("shared.events"):
        pytest.skip("shared.events is not there yet: compared with the list in this test only")
    from shared import events

    assert {one.lower() for one in advanced["values"]} == {one.lower() for one in events.OPERATIONS}


def test_the_alert_rules_look_for_texts_that_the_code_logs() -> None:
    template = (ROOT / "infra/modules/alerts.bicep").read_text(encoding="utf-8")
    logged = [
        ast.literal_eval(node.args[0])
        for file in (ROOT / "shared").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith("log.")
        and isinstance(node.args[0], ast.Constant)
    ]
    completed, refused = (
        re.search(rf"^var {name} = '(.+)'$", template, re.MULTILINE)[1] for name in ("scanCompleted", "receiverRefused")
    )
    assert [text for text in logged if text.startswith(completed)]
    assert [text for text in logged if refused in text]
