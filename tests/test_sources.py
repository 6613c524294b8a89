import json
import re
from pathlib import Path

import pytest

from shared.access import FederatedIdentityCredential, Membership
from shared.clients.resources import _VERSIONS
from shared.model import Application, ManagedCluster, Owner, Refusal, ServicePrincipal, Unread
from shared.rules import RULES
from shared.sources import NAMES, SOURCES, TAGS, USERS, Service, blind, named, told_as

ROOT = Path(__file__).parent.parent
PERMISSIONS = (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", [one for one in SOURCES if one.service is Service.ARM], ids=lambda one: one.name)
def test_each_action_is_in_the_narrow_role_and_the_document(source):
    assert source.needs in json.loads((ROOT / "infra/access/actions.json").read_text(encoding="utf-8"))
    assert f"`{source.needs}`" in PERMISSIONS


@pytest.mark.parametrize(
    "action", [*(f"{kind}/read" for kind in _VERSIONS), "microsoft.resources/subscriptions/providers/read"]
)
def test_the_narrow_role_may_ask_for_each_type_whether_it_still_exists(action):
    allowed = json.loads((ROOT / "infra/access/actions.json").read_text(encoding="utf-8"))
    assert action in {one.lower() for one in allowed}
    assert f"`{action}`" in PERMISSIONS.lower()


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_each_role_is_in_the_document(source):
    assert source.role in PERMISSIONS
    assert source.permission.startswith(source.role)


def test_every_kind_that_a_rule_reads_has_a_source():
    kinds = {kind for rule in RULES for kind in (*rule.reads, *rule.absence)}
    own = {"Refusal"}
    assert {kind.__name__ for kind in kinds} - {one.kind.__name__ for one in SOURCES} <= own


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_what_is_refused_is_called_by_its_source(source):
    refused = Unread(kind=source.kind, scope="/", reason="HTTP 403", permission=source.permission)
    assert named(refused) == source.name


@pytest.mark.parametrize(
    ("kind", "scope", "name"),
    [
        (Application, "/", "Applications"),
        (Membership, "/", "Group memberships"),
        (ServicePrincipal, "/servicePrincipals/1", "Service principals"),
        (FederatedIdentityCredential, "/", "Federated credentials of applications"),
        (FederatedIdentityCredential, "/subscriptions/1/x", "Federated credentials of identities"),
        (Owner, "/", "Owners"),
        (Owner, "/subscriptions/1", "Tags of resource groups"),
        (ManagedCluster, "/", "AKS clusters"),
        (Refusal, "/", "Refusal"),
    ],
)
def test_what_failed_otherwise_is_called_by_its_kind_and_its_place(kind, scope, name):
    assert named(Unread(kind=kind, scope=scope, reason="no complete answer")) == name


def test_a_source_that_blinds_no_rule_says_what_is_lost():
    for source in SOURCES:
        assert blind(source, RULES) or source.without, source.name
    assert blind(TAGS, RULES) == blind(NAMES, RULES) == blind(USERS, RULES) == ()


def test_no_client_names_a_permission_of_its_own():
    for path in (ROOT / "shared" / "clients").glob("*.py"):
        assert not re.findall(r'"(?:Reader \(|[\w.]+\.Read\.All\b).*"', path.read_text(encoding="utf-8")), path.name


def test_a_kind_without_a_source_is_called_by_its_name():
    assert told_as(dict) == "dict"
