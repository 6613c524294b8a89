"""What every rule keeps to, whatever it is about."""

import importlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.drift import PULL
from shared.findings import evaluate
from shared.model import Application, Aside, DeletedApplication, ManagedCluster, Refusal, ServicePrincipal
from shared.rule import Rule, commands, placeholders
from shared.rules import BY_ID, RULES
from tests import catalogue, estate
from tests.builders import (
    APP_OBJECT,
    CLIENT_ID,
    OTHER_TENANT,
    SP_OBJECT,
    after,
    application,
    certificate,
    cluster,
    deleted,
    hits,
    problems,
    saml,
    secret,
    service_principal,
    snapshot,
    unread,
)

# Every way in which the rules can find something.
WORLDS = [
    [cluster(), application(secret(), certificate(None)), service_principal(secret(), certificate(), *saml())],
    [cluster(), application(), service_principal()],
    [cluster(), application(), service_principal(enabled=False)],
    [cluster(), application()],
    [cluster(), service_principal()],
    [cluster(), deleted(), deleted(SP_OBJECT)],
    [cluster(), deleted()],
    [cluster()],
    [cluster(), service_principal(owner_tenant=OTHER_TENANT)],
    [unread(Application), unread(ManagedCluster, "/subscriptions/1")],
    [Refusal(receiver="WEB", reason="it answered HTTP 410", since=after(-1))],
]

DRIFTED = [*estate.worlds(), *catalogue.worlds()]
"""Snapshots with what the rules of drift and those of workloads find."""

ASIDE = Aside(received=after(-1), problem="it has no data")

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@every_rule
def test_one_id_one_module_one_function(rule: Rule):
    module = importlib.import_module(f"shared.rules.{rule.id}")
    assert getattr(module, rule.id) is rule
    assert rule.check.__name__ == rule.id
    assert rule.check.__module__ == module.__name__
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", rule.id)


def test_ids_are_unique_and_every_module_is_listed():
    modules = {path.stem for path in importlib.resources.files("shared.rules").iterdir() if path.suffix == ".py"}
    assert {rule.id for rule in RULES} == modules - {"__init__", "__main__"} == set(BY_ID)
    assert len(BY_ID) == len(RULES)


@every_rule
def test_texts_are_there(rule: Rule):
    assert rule.title and rule.severities and rule.summary.endswith(".")
    assert rule.docs.startswith("https://learn.microsoft.com/")
    assert "" in rule.runbooks
    for runbook in rule.runbooks.values():
        assert runbook.symptom.endswith(".") and runbook.cause.endswith(".")
        assert runbook.confirm.strip()
        assert runbook.fix.strip() or runbook.durable


@every_rule
def test_a_command_is_free_of_quotes_around_what_is_filled_in(rule: Rule):
    for runbook in rule.runbooks.values():
        for line in (runbook.confirm + "\n" + runbook.fix).splitlines():
            # A placeholder is a whole shell word: the value brings its own quotes.
            assert not re.search(r"[^ (]\{\w+\}|\{\w+\}[^ )]", line), line


@every_rule
def test_a_confirm_command_only_reads(rule: Rule):
    reading = re.compile(
        r"az (aks|ad (app|sp|\{object\})( credential| owner)?) (show|list) |python -m shared findings|az identity show |"
        r"az role assignment list |python -m shared scan --dry-run|az aks nodepool list |"
        r"az (identity|ad app) federated-credential show |az eventgrid system-topic list "
    )
    for runbook in rule.runbooks.values():
        assert all(reading.match(line) for line in runbook.confirm.splitlines())


@every_rule
def test_the_facts_fill_every_command_of_every_variant(rule: Rule):
    used = set()
    for world in WORLDS:
        for known in (frozenset(), frozenset({CLIENT_ID})):
            for hit in hits(rule, *world, known=known, owners={application().id: ()}):
                runbook = rule.runbooks[hit.variant]
                used.add(hit.variant)
                for template in (runbook.confirm, runbook.fix):
                    assert placeholders(template) <= hit.facts.keys()
                    assert not any(placeholders(line) for line in commands(template, hit.facts))
    for world in (*DRIFTED, snapshot(aside=(ASIDE,))):
        for hit in problems(rule, world):
            runbook = rule.runbooks[hit.variant]
            used.add(hit.variant)
            for template in (runbook.confirm, runbook.fix):
                assert placeholders(template) <= hit.facts.keys()
                assert not any(placeholders(line) for line in commands(template, hit.facts))
    # The general runbook of a rule about a right is that of a loss, under another name; and what no scan ever saw
    # pulled is not known to be needed.
    unused = {""} if "left" in rule.runbooks else set()
    assert used | ({"never"} if rule.id == PULL else set()) == set(rule.runbooks) - unused, "a runbook that no hit uses"


def test_reset_never_wipes_the_other_credentials():
    for rule in RULES:
        for runbook in rule.runbooks.values():
            for line in runbook.fix.splitlines():
                assert "credential reset" not in line or "--append" in line


def test_what_fires_on_absence_reads_it():
    for rule in RULES:
        assert set(rule.absence) <= set(rule.reads)


@given(
    st.lists(
        st.sampled_from(
            [
                cluster(),
                cluster(client_id=""),
                application(secret()),
                application(certificate(after(500)), object_id="other", app_id="other"),
                service_principal(*saml()),
                service_principal(enabled=False),
                deleted(APP_OBJECT),
                unread(ServicePrincipal),
                unread(DeletedApplication),
                unread(ManagedCluster, "/subscriptions/1"),
            ]
        )
    )
)
def test_rules_never_raise_and_never_repeat_themselves(records):
    world = snapshot(*records)
    assert evaluate(world, RULES) == evaluate(world, RULES)
