"""The short form of `make bench`: a small reading of each module, so that none rots; figures are judged at size only."""

from __future__ import annotations

import asyncio
import os
import re
from itertools import islice

import pytest
from rich.console import Console
from rich.table import Table

from bench import drift, graph, scale

SMALL = {
    "expiring": 2,
    "on_service_principals": 1,
    "applications": 20,
    "service_principals": 20,
    "subscriptions": 2,
    "clusters": 3,
    "role_assignments": 40,
}


def printed(table: Table | str) -> str:
    console = Console(width=160, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_both_clients_of_graph_read_the_same() -> None:
    found, problems = graph.side_by_side(graph.EXPIRING, 1)
    assert "CPU of the reading" in printed(found)
    # A hundred applications are nothing beside the first request; whatever the figure, it is named.
    assert all("the typed client's CPU" in one for one in problems)


def test_the_event_path_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "LATENCY", 0.01)
    before = dict(os.environ)
    figures = asyncio.run(drift.measure(1))
    assert {"record", "drain", "tell"} <= figures.keys()
    assert figures["drain requests"] and figures["tell requests"]
    assert dict(os.environ) == before, "other tests run in this process"


def test_a_tenant_is_scanned_kept_and_left_alone() -> None:
    dry, kept = map(printed, islice(scale.estate(1, SMALL), 2))
    assert "20 applications, 20 service principals, 2 subscriptions, 3 clusters" in dry
    (idle,) = [line for line in kept.splitlines() if "nothing to do" in line]
    assert re.search(r"to do +0 +0 +[23] .* none *$", idle), kept


def test_a_bound_that_is_broken_ends_a_benchmark_in_words() -> None:
    graph.end(graph.broken("one", 100, least=100) + graph.broken("other", 1.3, most=1.3))
    problems = graph.broken("one", 99.9, least=100) + graph.broken("other", 1.31, most=1.3)
    with pytest.raises(SystemExit) as ended:
        graph.end(problems)
    assert ended.value.code == "one: 99.90, and may be at least 100\nother: 1.31, and may be at most 1.3"
