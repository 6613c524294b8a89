"""The worker library that Azure runs on Python 3.13 indexes function_app.py and invokes each function."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.events import Change, decode
from simulator import generate
from simulator.azurite import Azurite
from simulator.events import Schema, event

from .conftest import ROOT, Start, Watch

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="azure-functions-runtime needs Python 3.13, the deployed version"
)

TIMERS = {"scan_tenant": "0 0 */6 * * *", "settle": "0 * * * * *"}
FUNCTIONS = {*TIMERS, "on_role_change"}


def host(watch: Watch, *names: str, **env: str) -> dict[str, Any]:
    """Let the worker index the app and invoke functions; the answer of tests/worker_host.py."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("TEAMS_WEBHOOK")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker_host", str(ROOT), *names],
        cwd=ROOT,
        env=base | watch.env | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    answer["log"] = done.stderr
    return answer


def test_the_worker_sees_every_function_with_its_schedule(watch: Watch) -> None:
    found = host(watch)["functions"]
    assert found.keys() == FUNCTIONS
    event = found.pop("on_role_change")
    assert event[0]["type"] == "eventGridTrigger"
    assert {name: bindings[0]["schedule"] for name, bindings in found.items()} == TIMERS
    assert {bindings[0]["type"] for bindings in found.values()} == {"timerTrigger"}


def test_a_wrong_schedule_leaves_the_default(watch: Watch) -> None:
    found = host(watch, SCAN_SCHEDULE="every now and then", SETTLE_SCHEDULE="0 */2 * * * *")["functions"]
    assert found["scan_tenant"][0]["schedule"] == TIMERS["scan_tenant"]
    assert found["settle"][0]["schedule"] == "0 */2 * * * *"


def test_a_setting_that_is_wrong_and_stops_nothing_is_logged(watch: Watch, azurite: Azurite) -> None:
    retired = f"https://contoso.webhook.office.com/webhookb2/{HIDDEN}"
    answer = host(watch, "scan_tenant", SETTLE_SCHEDULE="every minute", TEAMS_WEBHOOK_URL_SHOP=retired)
    assert answer["ended"] == {"scan_tenant": ""}
    assert "SETTLE_SCHEDULE" in answer["log"]
    assert "TEAMS_WEBHOOK_URL_SHOP" in answer["log"]
    assert HIDDEN not in answer["log"]


def test_the_functions_scan_and_tell(watch: Watch, azurite: Azurite) -> None:
    # The functions take the real time, so the secret of this tenant has ended long ago for some, and not for others.
    ended = host(watch, "scan_tenant", "settle", MIN_SEVERITY="info")["ended"]
    assert ended == {"scan_tenant": "", "settle": ""}
    assert [row for row in azurite.rows("findings") if row.get("status") == "open"]
    assert len([row for row in azurite.rows("scans") if row["PartitionKey"] == "scan"]) == 1
    assert any(watch.azure.cards(team) for team in watch.azure.channels)


def test_a_new_worker_tells_no_card_again(start: Start, azurite: Azurite) -> None:
    # Made for today: three of 1,200 applications end soon, and one of two clusters signs in as an application.
    numbers = {"applications": 1200, "expiring": 3, "clusters": 2, "on_service_principals": 1}
    watch = start(generate(**numbers, now=datetime.now(UTC)))
    assert host(watch, "settle")["ended"] == {"settle": ""}
    assert not watch.azure.cards()
    for _ in range(2):
        assert host(watch, "scan_tenant", "settle")["ended"] == {"scan_tenant": "", "settle": ""}
        found = {
            row["resource_name"] for row in azurite.rows("findings") if row.get("rule") == "entra_credential_expiry"
        }
        assert len(found) == 3
        assert not [row for row in azurite.rows("findings") if row["RowKey"].startswith("due-")]
        (card,) = watch.azure.cards()
        assert all(name in json.dumps(card.body) for name in found)


def delivery(watch: Watch, folder: Path, schema: Schema) -> Path:
    """The event of a deletion, as the host hands it to the worker."""
    azure = watch.azure
    gone = next(iter(azure.tenant.access))
    azure.actions.unassign(gone.id, "Aiko Mori")
    file = folder / f"{schema}.json"
    file.write_text(json.dumps(event(azure.tenant.log[-1], azure.tenant.id, schema)))
    return file


def test_the_event_function_keeps_an_event_of_either_schema_once(
    watch: Watch, azurite: Azurite, tmp_path: Path
) -> None:
    files = [delivery(watch, tmp_path, schema) for schema in ("EventGridSchema", "CloudEventSchemaV1_0")]
    calls = [f"on_role_change={file}" for file in (*files, files[0])]
    assert set(host(watch, *calls)["ended"].values()) == {""}
    rows = azurite.rows("inbox")
    assert len(rows) == 2
    kept = [decode(json.loads(row["event"])) for row in rows]
    assert {one.change for one in kept if one} == {Change.GRANT_DELETED}
    assert {one.by.upn for one in kept if one} == {"aiko.mori@northwind-retail.example"}
    assert "clientIpAddress" not in str(rows)


HIDDEN = "c2VjcmV0LW9mLXRoZS10ZXN0"

WRONG = [
    pytest.param("NOTICE_DAYS", f"soon {HIDDEN}", id="no number"),
    pytest.param("GRAPH_ENDPOINT", f"https://user:{HIDDEN}@graph.microsoft.com", id="an address with a password"),
    pytest.param("AzureWebJobsStorage", f"AccountKey={HIDDEN}", id="half a connection string"),
    pytest.param("AzureWebJobsStorage", f"@Microsoft.KeyVault({HIDDEN})", id="an unresolved reference"),
    pytest.param("AzureWebJobsStorage", "", id="no storage"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_fails_every_invocation_by_its_name_and_tells_no_secret(
    watch: Watch, tmp_path: Path, name: str, value: str
) -> None:
    event = delivery(watch, tmp_path, "EventGridSchema")
    answer = host(watch, *sorted(FUNCTIONS - {"on_role_change"}), f"on_role_change={event}", **{name: value})
    assert answer["functions"].keys() == FUNCTIONS
    assert all(name in ended for ended in answer["ended"].values())
    # The host logs the error with its traceback, source lines included, and all that the worker writes.
    shown = json.dumps(answer)
    signatures = [channel.signature for channel in watch.azure.channels.values()]
    for secret in (HIDDEN, watch.azure.identity_header, *signatures):
        assert secret not in shown
    assert not watch.azure.requests
