"""`event`, `accept` and `impact`, as processes of their own against the simulator."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from shared.sources import SOURCES
from simulator import Fault, load
from simulator.azurite import Azurite
from simulator.events import event

from ..conftest import Start, Watch, day
from ..test_cli import shared

LOSS = day("2026-10-13T14:20")


def october(watch: Watch) -> None:
    """The morning before Tomas Berg cleans up."""
    watch.advance(day("2026-10-13T06:00"))
    watch.azure.now = day("2026-10-13T06:00")


@pytest.mark.parametrize("number", [0, 1], ids=["on service principals", "on managed identities"])
def test_impact_lists_exactly_what_the_tenant_file_declares(start: Start, number: int) -> None:
    watch = start(load("retailer"), storage=False)
    impact = watch.azure.tenant.impacts[number]
    watch.advance(impact.at)
    watch.azure.now = impact.at
    done = shared(watch, "impact", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sorted((one["cluster"], one["identity"], one["assignment_id"].lower()) for one in found) == sorted(
        (one.cluster, one.identity, one.assignment_id.lower()) for one in impact.assignments(watch.azure.tenant)
    )
    assert all(one["fails"] and one["role"] and one["without"] == "no" for one in found)


def test_impact_of_one_cluster_one_identity_and_one_assignment(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    every = json.loads(shared(watch, "impact", "--format", "json").stdout)
    one = every[0]
    for option, value, name in (
        ("--cluster", one["cluster_id"].upper(), "cluster"),
        ("--principal", one["principal_id"], "principal_id"),
        ("--assignment", one["assignment_id"].rsplit("/", 1)[-1], "assignment_id"),
    ):
        found = json.loads(shared(watch, "impact", option, value, "--format", "json").stdout)
        assert found == [other for other in every if other[name] == one[name]]
    person = next(one for one in watch.azure.tenant.access if one.principal_type == "User")
    for option, value in (
        ("--assignment", person.id.upper()),
        ("--assignment", person.name),
        ("--principal", person.principal_id),
    ):
        done = shared(watch, "impact", option, value)
        assert (done.returncode, done.stdout.strip()) == (0, "nothing rests on it"), done.stderr


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("--cluster", "shop-pord"), ("--assignment", "deadbeef"), ("--principal", "00000000-0000-4000-8000-000000000000")],
)
def test_impact_of_what_was_not_read_is_no_answer(start: Start, option: str, value: str, form: str) -> None:
    watch = start(load("retailer"), storage=False)
    done = shared(watch, "impact", option, value, "--format", form)
    assert (done.returncode, done.stdout) == (2, "")
    assert value in done.stderr
    watch.azure.add(Fault(path="/", host="arm", status=403))
    blind = shared(watch, "impact", option, value, "--format", form)
    assert (blind.returncode, blind.stdout) == (3, "")
    assert "fusewatch: not known: " in blind.stderr


@pytest.mark.parametrize("form", ["table", "json"])
def test_impact_that_cannot_see_everything_says_so(start: Start, form: str) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path="roleAssignments", host="arm", status=403))
    done = shared(watch, "impact", "--format", form)
    assert (done.returncode, done.stdout) == (3, "")
    assert "NOT read: Role assignments of /subscriptions/" in done.stderr
    assert "Microsoft.Authorization/roleAssignments/read" in done.stderr
    assert "not known" in done.stderr


def test_what_is_not_read_is_said_once_and_as_preflight_says_it(start: Start) -> None:
    watch = start(load("retailer"), storage=False)
    watch.azure.add(Fault(path="/v1.0/", host="graph", status=403))
    for arguments in (["impact"], ["scan", "--dry-run", "--now", "2026-09-13"]):
        lines = [line for line in shared(watch, *arguments).stderr.splitlines() if "NOT read" in line]
        assert len(lines) == len(set(lines))
        whats = {line.removeprefix("fusewatch: NOT read: ").partition(":")[0] for line in lines}
        assert "Group memberships" in whats
        assert "Service principals" in whats
        assert whats <= {one.name for one in SOURCES}


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
async def test_an_event_from_a_file_is_dealt_with_as_if_it_had_been_delivered(
    watch: Watch, azurite: Azurite, tmp_path: Path, schema: str
) -> None:
    october(watch)
    await watch.run(watch.azure.now)
    before = len(watch.azure.tenant.log)
    watch.advance(LOSS)
    file = tmp_path / "event.json"
    file.write_text(json.dumps([event(one, watch.azure.tenant.id, schema) for one in watch.azure.tenant.log[before:]]))
    for again, line in ((False, "1 put into the inbox, 0 were there already"), (True, "0 put into the inbox, 1 were")):
        done = shared(watch, "event", str(file), "--now", LOSS.isoformat())
        assert done.returncode == 0, done.stderr
        assert line in done.stderr, again
    for seconds in (30, 60):
        told = shared(watch, "settle", "--now", (LOSS + timedelta(seconds=seconds)).isoformat())
        assert told.returncode == 0, told.stderr
        assert told.stderr == (
            "0 cards accepted, 0 refused, 0 findings still to be told, 1 waits for its grace until 14:25 UTC\n"
        )
    lost = [row for row in azurite.rows("findings") if row.get("lost_at") and row["status"] == "open"]
    assert {row["rule"] for row in lost} == {"aks_kubelet_cannot_pull", "role_assignment_deleted"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("no json", "it is not JSON", id="no JSON"),
        pytest.param("[1]", "it is no object", id="a number"),
        pytest.param('{"data": null}', "it has no data", id="no data"),
        pytest.param(None, "No such file", id="no file"),
    ],
)
def test_a_file_that_holds_no_event_is_refused(
    watch: Watch, azurite: Azurite, tmp_path: Path, text: str | None, reason: str
) -> None:
    file = tmp_path / "event.json"
    if text is not None:
        file.write_text(text)
    done = shared(watch, "event", str(file))
    assert done.returncode == 2
    assert reason in done.stderr
    assert not azurite.rows("inbox")


async def test_an_accepted_loss_is_told_as_such_and_stays_closed(watch: Watch, azurite: Azurite) -> None:
    october(watch)
    await watch.run(watch.azure.now)
    watch.advance(LOSS)
    await watch.run(day("2026-10-13T18:00"))
    await watch.settle(day("2026-10-13T18:06"))
    (row,) = [row for row in azurite.rows("findings") if row.get("rule") == "aks_kubelet_cannot_pull"]
    fingerprint = row["RowKey"].removeprefix("f-")
    assert shared(watch, "accept", fingerprint, "--comment", " ").returncode == 2
    assert shared(watch, "accept", "ffffffff", "--comment", "meant", "--by", "ada").returncode == 2
    now = day("2026-10-13T19:00")
    done = shared(
        watch, "accept", fingerprint[:12], "--comment", "moved to *ghcr*", "--by", "ada", "--now", now.isoformat()
    )
    assert done.returncode == 0, done.stderr
    assert shared(watch, "accept", fingerprint, "--comment", "twice", "--by", "ada").returncode == 2
    cards = len(watch.azure.cards())
    await watch.settle(now + timedelta(minutes=1))
    assert len(watch.azure.cards()) == cards + 1
    assert "accepted by ada: moved to *ghcr*" in json.dumps(watch.azure.cards()[-1].body)
    for hours in (6, 12, 18):
        report = await watch.run(now + timedelta(hours=hours))
        assert not {"aks_kubelet_cannot_pull", "role_assignment_deleted"} & {one.rule for one in report.findings}
    assert len(watch.azure.cards()) == cards + 1
