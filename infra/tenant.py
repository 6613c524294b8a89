"""Reads a tenant's file for ./deploy: checks it, and writes what the script needs, a file each, into a directory.

    python3 infra/tenant.py TENANT DIRECTORY

TENANT is the name of a file in infra/tenants, or a path to a .bicepparam file.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import compile as bicep_files

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_NAMES = {
    "tenant": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z"),
    "location": re.compile(r"[a-z][a-z0-9]{2,29}\Z"),
    "topic": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,49}\Z"),
    "resourceGroup": re.compile(r"(?!-)[\w().-]{0,89}[\w()-]\Z"),
}
"""What Azure allows, less what a shell or `az` could take for something else."""
_TOPIC_KEYS = {"name", "resourceGroup", "principalId"}
_SECRET = re.compile(
    r"sig=|AccountKey=|SharedAccess|client_?secret|webhook\.office\.com|logic\.azure\.com|powerplatform\.com",
    re.IGNORECASE,
)


def find(tenant: str) -> Path:
    """The parameters file of a tenant."""
    if not _NAMES["tenant"].match(Path(tenant).name.removesuffix(".bicepparam")):
        raise SystemExit(f"a tenant is named by letters, digits, '.', '_' and '-' (40 at most), not {tenant!r}")
    file = Path(tenant) if tenant.endswith(".bicepparam") else bicep_files.INFRA / "tenants" / f"{tenant}.bicepparam"
    if not file.is_file():
        known = sorted(other.stem for other in (bicep_files.INFRA / "tenants").glob("*.bicepparam"))
        raise SystemExit(f"there is no {file}; tenants here: {', '.join(known)}. Copy one of them and edit it")
    return file


def problems(values: dict[str, Any]) -> list[str]:
    """What is wrong with the parameters of a tenant, beyond what the compiler and Resource Manager check."""
    found = []
    subscriptions = values["subscriptions"]
    for name in ("tenantId", "subscriptionId"):
        if not GUID.match(values[name]):
            found.append(f"{name}: {values[name]!r} is no id (a GUID in lower case)")
    found += [
        f"subscriptions: {one!r} is no id (a GUID in lower case)" for one in subscriptions if not GUID.match(str(one))
    ]
    if len(set(subscriptions)) < len(subscriptions):
        found.append("subscriptions: one is named twice")
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,18}[a-z0-9]", values["name"]):
        found.append(f"name: {values['name']!r}: 3 to 20 of a-z, 0-9 and -, the first a letter")
    if not _NAMES["location"].match(values["location"]):
        found.append(f"location: {values['location']!r} is no region's name (such as westeurope)")
    for team in values.get("teams", []):
        if not re.fullmatch(r"[A-Z0-9]+(_[A-Z0-9]+)*", team):
            found.append(f"teams: {team!r}: A-Z, 0-9 and single _ between them")
    for key, topic in values.get("existingTopics", {}).items():
        if key not in subscriptions:
            found.append(f"existingTopics: {key!r} is none of the subscriptions")
        elif (
            not isinstance(topic, dict)
            or topic.keys() != _TOPIC_KEYS
            or not topic["name"]
            or not topic["resourceGroup"]
        ):
            found.append(f"existingTopics: {key!r} needs name, resourceGroup and principalId (which may be empty)")
        else:
            if not _NAMES["topic"].match(topic["name"]):
                found.append(f"existingTopics: {key!r}: {topic['name']!r} is no name of a topic")
            if not _NAMES["resourceGroup"].match(topic["resourceGroup"]):
                found.append(f"existingTopics: {key!r}: {topic['resourceGroup']!r} is no name of a resource group")
            if topic["principalId"] and not GUID.match(topic["principalId"]):
                found.append(f"existingTopics: {key!r}: {topic['principalId']!r} is no id of an identity")
    if _SECRET.search(json.dumps(values)):
        found.append("something in it looks like a secret: webhook URLs go into the vault (./deploy TENANT --webhook)")
    return found


def main() -> int:
    """The command line."""
    tenant, directory = sys.argv[1], Path(sys.argv[2])
    file = find(tenant)
    bicep = bicep_files.find_bicep()
    if not bicep:
        raise SystemExit("Bicep is missing: run `az bicep install`, or set BICEP to the program")
    parameters = bicep_files.parameters(bicep, file)
    values = {name: entry["value"] for name, entry in parameters["parameters"].items()}
    wrong = problems(values)
    if wrong:
        raise SystemExit(f"{file}:\n" + "\n".join(f"- {problem}" for problem in wrong))
    texts = {name: str(values[name]) for name in ("name", "tenantId", "subscriptionId", "location")}
    existing = values.get("existingTopics", {})
    topics = []
    for one in values["subscriptions"]:
        topic = existing.get(one)
        kind = "theirs" if topic else "ours"
        where = (
            (topic["name"], topic["resourceGroup"])
            if topic
            else (f"evgt-{values['name']}-subscription", f"rg-{values['name']}-events")
        )
        topics.append(" ".join((one, kind, *where)))
    texts |= {
        "topics": "\n".join(topics),
        "teams": "\n".join(values.get("teams", [])),
        "parameters.json": json.dumps(parameters),
    }
    for name, text in texts.items():
        (directory / name).write_text(text + "\n" if text else "", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
