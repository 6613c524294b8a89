"""The commands of the runbooks, held to the real command line: each parses, and az has each command and each flag."""

import json
import shlex

import pytest

from shared.rule import commands as filled
from shared.rule import placeholders
from shared.rules import RULES
from tests import az_flags, catalogue, estate
from tests.builders import problems

KNOWN = json.loads(az_flags.FILE.read_text(encoding="utf-8"))
COMMANDS = KNOWN["commands"]

every_command = pytest.mark.parametrize(
    "words",
    [pytest.param(words, id=shlex.join(words)[:90]) for line in az_flags.lines() for words in az_flags.commands(line)],
)


def test_the_list_says_which_version_it_was_taken_from():
    assert KNOWN["azure-cli"].count(".") == 2 and all("--help" in flags for flags in COMMANDS.values())


@every_command
def test_az_has_the_command_and_each_flag(words):
    name, flags = az_flags.split(words, COMMANDS)
    assert name in COMMANDS, f"az has no command {name}: python -m tests.az_flags"
    assert set(flags) <= set(COMMANDS[name]), f"az {name} has no {set(flags) - set(COMMANDS[name])}"


@pytest.mark.parametrize("words", ["aks update --disable-pod-identity", "aks pod-identity list --name x"])
def test_what_az_does_not_have_is_noticed(words):
    name, flags = az_flags.split(words.split(), COMMANDS)
    assert name not in COMMANDS or not set(flags) <= set(COMMANDS[name])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_part_of_a_runbook_is_missing(rule):
    for runbook in rule.runbooks.values():
        parts = (runbook.symptom, runbook.cause, runbook.confirm, runbook.durable, runbook.caveat)
        assert all(part.strip() for part in parts)
        for part in (runbook.symptom, runbook.cause, runbook.durable, runbook.caveat):
            assert part.strip().endswith((".", ")")) and not placeholders(part)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_filled_commands_are_read_by_a_shell_as_they_were_meant(rule):
    for world in (*estate.worlds(), *catalogue.worlds()):
        for hit in problems(rule, world):
            runbook = rule.runbooks[hit.variant]
            for template in (runbook.confirm, runbook.fix):
                for line in filled(template, hit.facts):
                    words = shlex.split(line)
                    assert words and not any("{" + name + "}" in line for name in placeholders(template))
                    for part in az_flags.commands(line):
                        name, flags = az_flags.split(part, COMMANDS)
                        # What a fact holds is a value, and no flag but where a fact is meant to be one.
                        assert set(flags) <= set(COMMANDS[name]), line


def test_conversion_warns_of_what_cannot_be_undone_and_of_new_nodes():
    for rule in RULES:
        for runbook in rule.runbooks.values():
            text = f"{runbook.caveat} {runbook.durable}"
            if "--enable-managed-identity" in runbook.fix:
                assert "cannot be undone" in text and "re-images" in text
            if "update-credentials" in runbook.fix or "--node-image-only" in runbook.fix:
                assert "re-images" in text
            if "credential reset" in runbook.fix:
                assert "--append" in text
