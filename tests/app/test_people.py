"""Owners from Graph to the card: of the application, else of its service principal; members only are mentioned."""

from __future__ import annotations

import logging

import pytest

from simulator import Fault
from simulator.entities import User

from ..conftest import Azurite, Watch, day
from ..test_cli import shared

NOW = day("2026-05-05T06:00")


def app_of(watch: Watch):
    return watch.azure.tenant.application("erp-sync")


def give(watch: Watch, **changes) -> User:
    """An owner that only this test has, on erp-sync."""
    user = User(id="12345678-0000-4000-8000-000000000001", name="Olga Berg", upn="olga@northwind.example", **changes)
    watch.azure.tenant.users.append(user)
    app_of(watch).owners[:] = [user.id]
    watch.azure.tenant.permissions.add("User.Read.All")
    return user


def mentioned(watch: Watch) -> set[str]:
    cards = [post.card for team in watch.azure.channels for post in watch.azure.cards(team)]
    return {one["mentioned"]["id"] for card in cards for one in card["msteams"].get("entities", [])}


async def test_an_enabled_member_is_mentioned(watch: Watch, azurite: Azurite) -> None:
    user = give(watch)
    await watch.run(NOW)
    assert mentioned(watch) == {user.id}


@pytest.mark.parametrize("changes", [{"enabled": False}, {"type": "Guest"}], ids=str)
async def test_guests_and_disabled_accounts_are_not(watch: Watch, azurite: Azurite, changes: dict) -> None:
    give(watch, **changes)
    await watch.run(NOW)
    assert watch.azure.cards()
    assert mentioned(watch) == set()


@pytest.mark.parametrize("granted", [set(), {"User.ReadBasic.All"}], ids=["nothing", "the basic profile"])
async def test_without_the_permission_nobody_is_and_the_rest_goes_on(
    watch: Watch, azurite: Azurite, granted: set, caplog: pytest.LogCaptureFixture
) -> None:
    give(watch)
    watch.azure.tenant.permissions = {"Application.Read.All"} | granted
    with caplog.at_level(logging.WARNING):
        report = await watch.run(NOW)
    assert not report.snapshot.unread
    assert watch.azure.cards()
    assert mentioned(watch) == set()
    assert ("User.Read.All" in caplog.text) == (not granted)


async def test_unread_accounts_are_not_mentioned(watch: Watch, azurite: Azurite) -> None:
    give(watch)
    watch.azure.add(Fault(host="graph", path="/users/", status=503))
    await watch.run(NOW)
    assert watch.azure.cards()
    assert mentioned(watch) == set()


async def test_an_application_without_owners_has_those_of_its_service_principal(watch: Watch, azurite: Azurite) -> None:
    user = give(watch)
    app = app_of(watch)
    app.owners.clear()
    principal = watch.azure.tenant.service_principals.find(app.app_id)
    assert principal
    principal.owners[:] = [user.id]
    report = await watch.run(NOW)
    (found,) = [one for one in report.findings if one.resource_id == f"/applications/{app.id}"]
    assert [(one.object_id, one.source) for one in found.owners] == [(user.id, "service principal")]
    principal.owners.clear()
    report = await watch.run(NOW)
    rules = {one.rule for one in report.findings if one.resource_id == f"/applications/{app.id}"}
    assert rules == {"entra_credential_expiry", "entra_application_without_owner"}


async def test_owners_that_cannot_be_read_are_not_missing(watch: Watch, azurite: Azurite) -> None:
    app_of(watch).owners.clear()
    watch.azure.add(Fault(host="graph", path="/servicePrincipals.*/owners", status=403))
    report = await watch.run(NOW)
    lonely = {one.resource_id for one in report.findings if one.rule == "entra_application_without_owner"}
    assert f"/applications/{app_of(watch).id}" not in lonely


@pytest.mark.parametrize("person", ["ada@northwind.example", "12345678-0000-4000-8000-000000000001"])
def test_a_test_card_can_mention(watch: Watch, person: str) -> None:
    assert shared(watch, "webhook-test", "--mention", person).returncode == 0
    assert mentioned(watch) == {person}


@pytest.mark.parametrize("person", ["Ada", "<at>x</at>@y", "a@b\n", ""])
def test_a_test_card_mentions_ids_only(watch: Watch, person: str) -> None:
    done = shared(watch, "webhook-test", "--mention", person)
    assert done.returncode == (0 if person == "" else 2)
    assert mentioned(watch) == set()
