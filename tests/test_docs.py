"""What the documents tell to type works, in the order in which they tell it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from .conftest import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """The text below a title, up to the next one."""
    return read(name).partition(f"## {title}\n")[2].partition("\n## ")[0]


def block(text: str) -> str:
    """The first block for a shell."""
    return text.partition("```sh\n")[2].partition("```")[0]


@pytest.mark.parametrize("program", ["./deploy", "infra/access/grant"])
def test_every_documented_option_of_a_script_is_one(program: str) -> None:
    usage = subprocess.run([program, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    told = {
        option
        for file in DOCUMENTS
        for words in re.findall(rf"{re.escape(program)} ([^`#\n]*)", file.read_text(encoding="utf-8"))
        for option in re.findall(r"--[a-z-]+", words)
    }
    assert len(told) >= 3
    assert told <= set(re.findall(r"--[a-z-]+", usage))


def test_a_webhook_is_known_before_what_needs_it() -> None:
    """`verify` stops at a reference that does not resolve."""
    for text in (block(section("README.md", "Deploy")), section("docs/operations.md", "Install")):
        assert re.search(r"export TEAMS_WEBHOOK_URL.+?\./deploy TENANT\b", text, re.DOTALL)
    team = re.findall(r"`(\./deploy [^`]+)`", section("docs/operations.md", "Add a team's channel"))
    assert team == ["./deploy TENANT --webhook PAYMENTS", "./deploy TENANT"]


def test_every_target_is_told() -> None:
    targets = re.search(r"^\.PHONY: (.+)", read("Makefile"), re.MULTILINE)
    assert targets
    assert set(re.findall(r"^\| `make ([a-z-]+)`", section("CONTRIBUTING.md", "Targets"), re.MULTILINE)) == set(
        targets[1].split()
    )


def test_what_func_start_needs_is_told() -> None:
    text = section("README.md", "Deploy").partition("Locally,")[2]
    assert "requirements.txt" in text and "azurite" in json.loads(read("package.json"))["devDependencies"]
    assert "node_modules/.bin/azurite" in text


def test_the_command_line_runs_without_azure_as_it_is_told() -> None:
    told = block(section("CONTRIBUTING.md", "Try the command line without Azure"))
    assert told.count(".venv-3.13/bin/python") == 3
    script = told.replace(".venv-3.13/bin/python", sys.executable) + "kill $!\n"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "read 3 subscriptions, 3 clusters" in done.stdout + done.stderr


def test_the_memory_of_a_larger_tenant_is_that_of_the_table() -> None:
    text = section("docs/scale.md", "Ten times the tenant")
    small, _, large, _ = (int(peak) for peak in re.findall(r"(\d+) MB \| \d+ MB \|$", text, re.MULTILINE))
    assert f"ten times the clusters as well takes {large / small:.1f} times" in text
