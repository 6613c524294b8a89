"""A running simulator, its environment in the process's, and clients for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from simulator import Simulator, Tenant, load

from .clients import Client, Connect, Start


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a simulator and puts its environment into the process's."""
    with ExitStack() as stack:

        def run(tenant: Tenant, **options: Any) -> Simulator:
            azure = stack.enter_context(Simulator(tenant, **options))
            for name, value in azure.environment.items():
                monkeypatch.setenv(name, value)
            return azure

        yield run


@pytest.fixture
def azure(start: Start) -> Simulator:
    """The retailer on the first day."""
    return start(load("retailer"))


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients that are closed after the test."""
    with ExitStack() as stack:

        def run(azure: Simulator) -> Client:
            client = Client(azure)
            stack.callback(client.http.close)
            return client

        yield run


@pytest.fixture
def client(azure: Simulator, connect: Connect) -> Client:
    return connect(azure)
