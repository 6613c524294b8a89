"""The templates and the code name the same things: settings, functions, event operations, log texts."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest

from shared.events import OPERATIONS

from ..conftest import Watch
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
    found = set()
    for node in ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8")).body:
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
    assert set(advanced["values"]) == set(OPERATIONS)


def logged() -> list[tuple[str, str]]:
    """Level and format of everything that the app logs."""
    return [
        (node.func.attr, ast.literal_eval(node.args[0]))
        for file in (ROOT / "shared").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "log"
        and isinstance(node.args[0], ast.Constant)
    ]


def alert(name: str) -> dict:
    """One of the log alert rules, as it would be deployed."""
    rules = [one for one in compiled("contoso.snapshot")["predictedResources"] if one["type"].endswith("QueryRules")]
    (found,) = (one["properties"] for one in rules if one["name"] == f"fusewatch-{name}")
    return found


def searched(name: str) -> str:
    """The text that a rule looks for."""
    (text,) = re.findall(r'Message (?:startswith|contains) "([^"]+)"', alert(name)["criteria"]["allOf"][0]["query"])
    return text


def test_the_alert_rules_look_for_texts_that_the_code_logs() -> None:
    """A constant text, not one that a tenant can write: no placeholder stands before or within it."""
    completed, refused = searched("scan-missing"), searched("receiver-refused")
    (line,) = [text for _, text in logged() if text.startswith(completed)]
    assert completed in line.partition("%")[0]
    assert [text for _, text in logged() if text.endswith(refused)]


def test_what_the_rules_look_for_is_not_filtered_out() -> None:
    """The levels of host.json let it through, to Application Insights and to OpenTelemetry alike."""
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    levels = host["logging"]["logLevel"]
    assert host["telemetryMode"] == "OpenTelemetry"
    # Our loggers are below Function.<name>.User, for which the default counts.
    assert levels["default"] == "Information" and not [name for name in levels if name.startswith("Function")]
    assert {level for level, text in logged() if text.startswith(searched("scan-missing"))} == {"info"}
    # A worker that exports telemetry by itself would silence what the host passes on.
    assert "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY" not in app_settings("contoso")
    assert "PYTHON_ENABLE_OPENTELEMETRY" not in app_settings("contoso")


async def test_a_scan_logs_the_line_that_the_rule_waits_for(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """As a formatted message, which is what AppTraces.Message holds."""
    with caplog.at_level("INFO"):
        await watch.scan(watch.azure.now, storage=False)
    assert len([text for text in caplog.messages if text.startswith(searched("scan-missing"))]) == 1


def test_a_receiver_that_goes_on_refusing_keeps_its_alert() -> None:
    from shared.app.appointments import _LAST_RETRY

    rule = alert("receiver-refused")
    hours = int(re.fullmatch(r"PT(\d+)H", rule["windowSize"])[1])
    assert timedelta(hours=hours) / _LAST_RETRY > rule["criteria"]["allOf"][0]["threshold"] + 1


def test_a_failed_execution_is_counted_with_and_without_opentelemetry() -> None:
    """With it the host exports no request of a timer, but the exception: azure-functions-host, AddDefaultOpenTelemetryFilters."""
    (criterion,) = alert("execution-failed")["criteria"]["allOf"]
    assert "AppExceptions" in criterion["query"] and "AppRequests | where Success == false" in criterion["query"]
    # A new workspace has neither table, and a stranger's 404 is no failure of ours.
    assert "isfuzzy=true" in criterion["query"] and '!startswith "4"' in criterion["query"]


def columns() -> set[str]:
    """Every column that the app writes: the keys of what the *_row functions make."""
    functions = [
        node
        for name in ("rows", "other_rows", "baseline_rows", "inbox_rows", "scan_rows")
        for node in ast.parse((ROOT / f"shared/clients/{name}.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_row")
    ]
    nodes = [node for function in functions for node in ast.walk(function)]
    keys = [key for node in nodes if isinstance(node, ast.Dict) for key in node.keys]
    # The columns of ids that may need several properties.
    keys += [
        node.args[0]
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_spread"
    ]
    return {key.value for key in keys if isinstance(key, ast.Constant)}


def test_the_operations_guide_tells_every_column() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    schema = text.partition("## Read the tables\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([a-z_]+)`", schema)) | {"PartitionKey", "RowKey"}
    assert len(columns()) > 50 and {"via", "left"} < columns()
    assert not columns() - told


def test_the_cost_of_a_month_is_the_sum_that_it_says() -> None:
    """Ticks and scans follow from the default schedules."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    cost = text.partition("## What a month costs\n")[2].partition("\n## ")[0].replace(",", "")
    settings = app_settings("contoso")
    assert settings["SETTLE_SCHEDULE"] == "0 * * * * *" and settings["SCAN_SCHEDULE"] == "0 0 */6 * * *"
    ticks, scans, events = 30 * 24 * 60, 30 * 4, 1000
    seconds = [scans * 60 * 2, ticks * 2, events * 2]
    total = sum(seconds)
    for number in (ticks, scans, *seconds, total, total - 100_000, scans + ticks + events):
        assert re.search(rf"(?<![0-9.]){number}(?![0-9])", cost), number
    for dollars in ((total - 100_000) * 0.000026, total * 0.000026, 3 * 0.5 + 2 * 0.1, 3 * 0.5 + 40 * 2 * 0.1):
        assert f"{dollars:.2f}" in cost, dollars
