"""Findings for machines: a sheet that no program mistakes for formulas, and CloudEvents."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.findings import Status
from shared.model import Owner
from shared.report import BATCH, COLUMNS, batches, cell, event, record, unpublished, write_csv
from tests.builders import NOW, TENANT_ID, after, finding
from tests.test_card import HOSTILE

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠1"]


def sheet(*findings):
    file = io.StringIO(newline="")
    write_csv(findings, file)
    return file.getvalue(), list(csv.reader(io.StringIO(file.getvalue(), newline=""), strict=True))


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text):
    _, rows = sheet(finding(title=text, resource_id=text, owners=(Owner(name=text),)))
    header, row = rows
    assert tuple(header) == COLUMNS
    for name in ("title", "resource_id", "owners"):
        assert row[COLUMNS.index(name)].startswith("'")


@given(st.text())
def test_whatever_the_text_each_finding_is_one_line_of_as_many_cells(text):
    raw, rows = sheet(finding(title=text, facts={"name": text}), finding("two", owners=(Owner(name=text),)))
    assert raw.count("\n") == raw.count("\r\n") == len(rows) == 3
    assert {len(row) for row in rows} == {len(COLUMNS)}
    for row in rows[1:]:
        assert all(one.lstrip(" ")[:1] not in tuple("=+-@\t\r＝＋－＠") or one == "" for one in row)
        assert json.loads(row[COLUMNS.index("facts")])


@pytest.mark.parametrize("text", [*HOSTILE, 'a "quoted", name;', "plain"])
def test_hostile_names_come_back_through_the_reader(text):
    _, (_, row) = sheet(finding(title=text))
    assert row[COLUMNS.index("title")] == cell(text)
    assert row[COLUMNS.index("fingerprint")] == finding().fingerprint
    assert row[COLUMNS.index("expires_on")] == "2026-12-03T06:00:00Z"


def test_what_is_empty_is_an_empty_cell():
    _, (_, row) = sheet(finding(expires_on=None, owners=()))
    assert (row[COLUMNS.index("expires_on")], row[COLUMNS.index("owners")]) == ("", "")


def test_the_columns_are_the_keys_of_the_json():
    assert tuple(record(finding())) == COLUMNS


def test_an_event():
    one = finding(revision=3)
    assert event(one, TENANT_ID) == {
        "specversion": "1.0",
        "id": f"{one.fingerprint}-20261123T060000.000000Z",
        "source": f"urn:fusewatch:tenant:{TENANT_ID}",
        "type": "fusewatch.finding.open",
        "subject": one.resource_id,
        "time": "2026-11-23T06:00:00Z",
        "datacontenttype": "application/json",
        "data": {**record(one), "revision": 3, "resolved_at": None},
    }
    assert event(finding(revision=4), TENANT_ID)["id"] == event(one, TENANT_ID)["id"]
    assert event(finding(changed=after(1)), TENANT_ID)["id"] != event(one, TENANT_ID)["id"]
    assert event(finding(status=Status.AGED_OUT), TENANT_ID)["type"] == "fusewatch.finding.aged-out"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"published": NOW}, False),
        ({"published": after(-1)}, True),
        ({"status": Status.RESOLVED}, False),
        ({"status": Status.RESOLVED, "published": after(-1)}, True),
        ({"status": Status.RESOLVED, "published": NOW}, False),
        ({"not_before": after(1)}, False),
        ({"not_before": NOW}, True),
        ({"pending": True}, False),
    ],
)
def test_what_is_unpublished(changes, expected):
    assert bool(unpublished([finding(**changes)], NOW)) is expected


def test_batches_hold_everything_once_and_fit():
    many = [finding(str(number), title="ä" * 30_000) for number in range(20)]
    made = list(batches(many, TENANT_ID))
    assert len(made) > 1
    assert [one for part, _ in made for one in part] == many
    assert all(len(json.dumps(events)) <= BATCH for _, events in made)
    assert list(batches([], TENANT_ID)) == []
    huge = finding(title="x" * BATCH)
    assert [len(part) for part, _ in batches([finding("a"), huge, finding("b")], TENANT_ID)] == [1, 1, 1]
