"""The workflows: actions pinned by digest, least permissions, sign-in without a secret, no input in a script."""

import re

import pytest

from .conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_digest_and_named_by_version(file) -> None:
    uses = re.findall(r"uses: (.+)", file.read_text(encoding="utf-8"))
    assert uses
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in uses), uses


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_expression_stands_in_a_script(file) -> None:
    """What somebody typed reaches a shell through the environment only."""
    text = file.read_text(encoding="utf-8")
    scripts = re.findall(r"run: (?:\|\n((?: {10,}.*\n)+)|(.+))", text)
    assert scripts
    assert not [script for pair in scripts for script in pair if "${{" in script]


def test_only_the_deploying_job_may_ask_for_a_token_and_signs_in_without_a_secret() -> None:
    text = (ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8")
    assert text.count("id-token: write") == 1
    assert "id-token" not in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"TEAMS_WEBHOOK_URL"}
    assert "environment: ${{ matrix.tenant }}" in text
    for file in WORKFLOWS:
        assert re.search(r"^permissions:\n  contents: read\n", file.read_text(encoding="utf-8"), re.MULTILINE)
