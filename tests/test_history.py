"""What a finding remembers of itself, and how it is asked for on the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest

from shared.alerts import FALLBACK, told
from shared.clients.rows import finding_of, finding_row
from shared.findings import HISTORY, Observed, Reason, Status, reconcile
from shared.model import Severity
from shared.report import COLUMNS
from shared.rules import RULES
from simulator import load

from .builders import NOW, TENANT_ID, after, entry, finding, snapshot
from .conftest import Azurite, Start, Watch, day
from .test_cli import shared


def lived(*seen, start=()):
    """A finding after scans that saw it like this; None is not at all."""
    stored = tuple(start)
    for number, one in enumerate(seen):
        observed = Observed(findings=(one,) if one else (), aged_out=frozenset(), undecided=frozenset())
        stored = reconcile(stored, observed, snapshot(taken=after(number)), RULES)
    return stored[0]


def whats(one):
    return [line.what for line in one.history]


def test_its_life_in_order():
    one = lived(
        finding(),
        finding(title="another title"),
        finding(severity=Severity.CRITICAL),
        finding(severity=Severity.CRITICAL, expires_on=after(20)),
        None,
        None,
        finding(),
    )
    assert whats(one) == [
        *("open", "warning", "ends 2026-12-03 06:00 UTC"),
        "critical",
        "ends 2026-12-13 06:00 UTC",
        "resolved",
        *("open", "warning", "ends 2026-12-03 06:00 UTC"),
    ]
    assert [line.when for line in one.history][3:6] == [after(2), after(3), after(4)]


def test_a_scan_that_sees_the_same_adds_nothing_and_needs_no_write():
    once = lived(finding())
    assert lived(finding(), start=[once]) is once


def test_who_was_told_is_part_of_it():
    one = told(entry(finding(), Reason.NEW), FALLBACK, NOW, counted=False)
    one = told(entry(one, Reason.TIER), "WEB", after(1), counted=True)
    assert whats(one) == ["fallback told: new", "WEB told: nearer (counted)"]


def test_only_the_newest_lines_are_kept():
    one = finding()
    for number in range(HISTORY + 5):
        one = one.remember(after(number), str(number))
    assert whats(one) == [str(number) for number in range(5, HISTORY + 5)]


def test_it_is_stored_and_an_edited_one_costs_nothing_else():
    one = lived(finding(), None)
    row = finding_row(TENANT_ID, one)
    assert finding_of(row).history == one.history
    for edited in ("nonsense", "[1]", '[["soon", "x"]]', 5):
        again = finding_of({**row, "history": edited, "published": edited})
        assert (again.status, again.history, again.published) == (Status.RESOLVED, (), None)
    assert finding_of({name: value for name, value in row.items() if name not in ("history", "published")}) == one


def test_on_the_command_line(watch: Watch, azurite: Azurite) -> None:
    for text in ("2026-09-13T06:00Z", "2026-09-20T06:00Z", "2026-09-23T06:00Z"):
        watch.advance(day(text))
        watch.azure.now = day(text)
        assert shared(watch, "scan", "--now", text).returncode == 0
        assert shared(watch, "settle", "--now", text).returncode == 0
    since = json.loads(shared(watch, "findings", "--since", "2026-09-23", "--format", "json").stdout)
    assert ("aks_service_principal_expiry", "resolved") in {(one["rule"], one["status"]) for one in since}
    every = json.loads(shared(watch, "findings", "--all", "--format", "json").stdout)
    assert 0 < len(since) < len(every)
    cluster = next(one for one in every if one["rule"] == "aks_service_principal_expiry")
    shown = shared(watch, "findings", "--history", cluster["fingerprint"])
    assert shown.returncode == 0
    for part in ("open", "critical", "SHOP told: new", "fallback told: new", "resolved", "SHOP told: resolved"):
        assert part in shown.stdout
    told = json.loads(shared(watch, "findings", "--history", cluster["fingerprint"], "--format", "json").stdout)
    assert told["history"][0]["what"] == "open"
    unknown = shared(watch, "findings", "--history", "nonsense")
    assert unknown.returncode == 2
    assert "nonsense" in unknown.stderr


@pytest.mark.parametrize("to_file", [False, True])
def test_a_hostile_tenant_as_a_sheet(start: Start, tmp_path, to_file: bool) -> None:
    watch = start(load("hostile"), storage=False)
    now = watch.azure.tenant.expected[0].at.isoformat()
    target = tmp_path / "found.csv"
    done = shared(
        watch,
        *("scan", "--dry-run", "--now", now, "--format", "csv", *(["--output", str(target)] if to_file else [])),
    )
    assert done.returncode == 0, done.stderr
    text = target.read_bytes().decode() if to_file else done.stdout
    assert not to_file or text.count("\r\n") == text.count("\n")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(header) == COLUMNS
    assert len(rows) >= 10
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert not [one for row in rows for one in row if one.lstrip()[:1] in tuple("=+-@\t\r")]
