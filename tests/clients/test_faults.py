"""Faults of connections and sign-ins, told in words by every client: who was asked, and what to do."""

from __future__ import annotations

from unittest.mock import AsyncMock

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError

from shared.clients.http import ReadError, token_fault
from shared.model import Application
from simulator import load

from ..conftest import Start


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        pytest.param("https://127.0.0.1:1", "127.0.0.1: it refuses connections", id="nobody listens"),
        pytest.param("https://nowhere.invalid", "nowhere.invalid: its name is not found", id="no such name"),
        pytest.param("", "127.0.0.1: its certificate is not trusted", id="an unknown certificate"),
    ],
)
async def test_who_cannot_be_reached_and_why(
    start: Start, monkeypatch: pytest.MonkeyPatch, endpoint: str, words: str
) -> None:
    watch = start(load("retailer"), storage=False)
    if endpoint:
        watch.env |= {"ARM_ENDPOINT": endpoint, "GRAPH_ENDPOINT": endpoint}
    else:
        monkeypatch.delenv("SSL_CERT_FILE")
    async with watch.clients(storage=False) as clients:
        # The simulator gives tokens for its own addresses only.
        for name, kind in (("get_token", AccessToken), ("get_token_info", AccessTokenInfo)):
            monkeypatch.setattr(clients.credential, name, AsyncMock(return_value=kind("token", 2**33)))
        with pytest.raises(ReadError) as azure:
            await clients.aks.list_subscriptions()
        with pytest.raises(ReadError) as graph:
            await clients.entra.sample(Application)
    for caught in (azure, graph):
        assert caught.value.unread.reason.startswith(f"connection fault with {words}")
        assert caught.value.unread.passing


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("(None) No.", "no token: No."),
        ("Azure CLI not found on path", "no token: Azure CLI not found on path: install it and run az login"),
        ("Please run 'az login' to set up an account\nmore", "no token: Please run 'az login' to set up an account"),
    ],
)
def test_why_there_is_no_token(said: str, told: str) -> None:
    assert token_fault(ClientAuthenticationError(message=said)) == told
