"""`report`, as a process of its own against the simulator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import icalendar

from simulator import Fault, load
from simulator.azurite import Azurite

from ..conftest import Start, Watch, day
from ..test_cli import shared

NOW = "2026-09-13T06:00Z"


def data(path: Path) -> dict[str, Any]:
    """What a page shows."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def rows(azurite: Azurite) -> list[Any]:
    return [sorted(map(repr, azurite.rows(table))) for table in ("findings", "baseline", "inbox", "scans")]


def test_a_report_of_what_is_stored_writes_nothing(watch: Watch, azurite: Azurite, tmp_path: Path) -> None:
    for moment in ("2026-09-12T06:00Z", NOW):
        watch.advance(day(moment))
        watch.azure.now = day(moment)
        assert shared(watch, "scan", "--now", moment).returncode == 0
    muted = shared(
        watch,
        "silence",
        "add",
        "--rule",
        "aks_service_principal_cluster",
        "--days",
        "9",
        "--comment",
        "soon",
        "--by",
        "ada",
        "--now",
        NOW,
    )
    assert muted.returncode == 0, muted.stderr
    before = rows(azurite)
    path = tmp_path / "report.html"
    done = shared(watch, "report", "--output", str(path), "--now", "2026-09-13T08:00Z")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert rows(azurite) == before
    assert not watch.azure.cards("shop")
    shown = data(path)
    assert shown["unread"] == []
    listed = json.loads(shared(watch, "findings", "--format", "json").stdout)
    assert {(one["fingerprint"], one["severity"]) for one in shown["findings"]} == {
        (one["fingerprint"], one["severity"]) for one in listed
    }
    assert {one["seen"] for one in shown["findings"]} == {"2026-09-12T06:00:00Z"}, "from storage, not from this read"
    assert [one["comment"] for one in shown["silences"]] == ["soon"]
    assert all(one["silenced"] for one in shown["findings"] if one["rule"] == "aks_service_principal_cluster")
    assert "2 scans finished in the last seven days, all complete." in [one["text"] for one in shown["health"]]
    assert {one["name"] for one in shown["clusters"]} == {"shop-prod", "shop-dr", "web-stage"}
    assert [one["title"] for one in shown["clusters"][0]["identities"]] == [
        "Cluster identity",
        "Kubelet identity",
        "Workload identity",
    ]
    # 274 days ahead: far beyond the notice window, and no finding.
    assert ("erp-sync", "2027-06-15T00:00:00Z") in {(one["subject"], one["end"]) for one in shown["ends"]}
    assert not [one for one in shown["findings"] if "erp-sync" in one["title"]]


def test_without_storage(start: Start, tmp_path: Path) -> None:
    watch = start(load("retailer"), storage=False)
    watch.advance(day("2026-10-12T06:00Z"))
    watch.azure.add(Fault(path="/registries", host="arm", status=403))
    path = tmp_path / "report.html"
    done = shared(watch, "report", "--output", str(path), "--now", "2026-10-12T06:00Z")
    assert done.returncode == 3
    assert "NOT read: Container registries" in done.stderr
    shown = data(path)
    assert shown["silences"] is None
    assert {one["what"] for one in shown["unread"]} == {"Container registries"}
    kubelets = [
        one for cluster in shown["clusters"] for one in cluster["identities"] if one["title"] == "Kubelet identity"
    ]
    assert kubelets
    assert all(one["blind"] and not one["needs"] for one in kubelets)
    held = [need for cluster in shown["clusters"] for need in cluster["identities"][0]["needs"]]
    assert held
    assert all(one["state"] == "held" and one["role"] for one in held)


def test_the_page_asks_nobody_and_runs_only_its_own(start: Start) -> None:
    watch = start(load("hostile"), storage=False)
    done = shared(watch, "report", "--output", "-", "--now", "2026-11-01T06:00Z")
    assert done.returncode == 0, done.stderr
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', done.stdout)[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.findall(r"""\b(?:src|href)=["']?(?:https?:)?//""", done.stdout)
    assert done.stdout.lower().count("</script") == 2
    assert not re.findall(r"<[^>]+\son\w+=", done.stdout)


def test_a_calendar_is_stable_and_survives_what_cannot_be_read(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "ends.ics"
    watch.advance(day(NOW))
    watch.azure.now = day(NOW)
    assert shared(watch, "report", "--format", "ics", "--output", str(path), "--now", NOW).returncode == 0
    first = path.read_bytes()
    events = {one["UID"]: one for one in icalendar.Calendar.from_ical(first).walk("VEVENT")}
    assert "Cluster shop-prod loses its sign-in to Azure" in {str(one["SUMMARY"]) for one in events.values()}
    assert (
        shared(watch, "report", "--format", "ics", "--output", str(path), "--now", "2026-09-14T06:00Z").returncode == 0
    )
    assert path.read_bytes() == first
    watch.azure.add(Fault(path="/v1.0/", host="graph", status=403))
    done = shared(watch, "report", "--format", "ics", "--output", str(path), "--now", "2026-09-14T12:00Z")
    assert done.returncode == 3
    kept = {one["UID"] for one in icalendar.Calendar.from_ical(path.read_bytes()).walk("VEVENT")}
    assert kept == set(events)


def test_usage(start: Start, tmp_path: Path) -> None:
    watch = start(load("retailer"), storage=False)
    assert shared(watch, "report").returncode == 2
    assert shared(watch, "report", "--output", "x", "--format", "pdf").returncode == 2
    done = shared(watch, "report", "--output", str(tmp_path / "none" / "report.html"))
    assert done.returncode == 2
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr
