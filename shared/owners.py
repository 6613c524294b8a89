"""Whose a finding is, and which team's channel is told: Graph owners, tags, routes, fallback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .findings import Finding
from .model import Owner, covers


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of ROUTES: every matcher that is set must match; the first route that does wins."""

    team: str
    owner: str = ""
    app_id: str = ""
    name_prefix: str = ""
    subscription: str = ""
    tag: str = ""
    """`name=value` of a tag on the cluster, its resource group or its subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The tags that apply to a resource, the nearest first: resource, resource group, subscription."""

    levels: tuple[tuple[str, Mapping[str, str]], ...] = ()

    def nearest(self, name: str) -> tuple[str, str]:
        """The first value of a tag and where it stands; tag names have no case in Azure."""
        for where, tags in self.levels:
            for key, value in tags.items():
                if key.lower() == name.lower() and value.strip():
                    return value.strip(), where
        return "", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What is known of people and teams when findings are assigned."""

    owners: Mapping[str, tuple[Owner, ...]] = field(default_factory=dict)
    """Graph owners by the resource id of the application or service principal."""
    tags: Mapping[str, Tags] = field(default_factory=dict)
    """Tags by the lower-case resource id of the cluster."""
    routes: Sequence[Route] = ()
    teams: frozenset[str] = frozenset()
    """Teams that have a receiver."""
    owner_tag: str = "owner"
    team_tag: str = "team"


def team_key(team: str) -> str:
    """A team's name as it stands in TEAMS_WEBHOOK_URL_<TEAM>: upper case, other characters as `_`."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in team.upper())


def assign(finding: Finding, related: Sequence[str], directory: Directory) -> Finding:
    """A finding with its owners and its team.

    `related` are the resource ids of the Entra objects behind it, whose owners count too.
    """
    tags = directory.tags.get(finding.resource_id.lower(), Tags())
    owners: list[Owner] = []
    tagged, where = tags.nearest(directory.owner_tag)
    if tagged:
        owners.append(Owner(name=tagged, source=f"tag {directory.owner_tag} of {where}"))
    for resource_id in (finding.resource_id, *related):
        owners.extend(directory.owners.get(resource_id, ()))
    unique: dict[str, Owner] = {}
    for owner in owners:
        unique.setdefault(owner.object_id.lower() or owner.label, owner)
    # A tag that names somebody whom Graph names too adds nothing.
    names = {text.lower() for owner in unique.values() if owner.object_id for text in (owner.name, owner.mail)}
    people = tuple(owner for owner in unique.values() if owner.object_id or owner.name.lower() not in names)
    wanted, _ = tags.nearest(directory.team_tag)
    route = next((route for route in directory.routes if _matches(route, finding, people, tags)), None)
    if route:
        wanted = route.team
    key = team_key(wanted)
    known = key in directory.teams
    note = f"team “{wanted}” has no receiver of its own" if wanted and not known else ""
    return replace(finding, owners=people, team=key if known else "", team_note=note)


def _matches(route: Route, finding: Finding, owners: Sequence[Owner], tags: Tags) -> bool:
    name, value = (part.strip() for part in route.tag.partition("=")[::2])
    tests = (
        (route.owner, any(route.owner.lower() in _names(owner) for owner in owners)),
        (route.app_id, route.app_id.lower() in _app_ids(finding)),
        (route.name_prefix, finding.resource_name.lower().startswith(route.name_prefix.lower())),
        (route.subscription, covers(f"/subscriptions/{route.subscription}", finding.resource_id)),
        (route.tag, tags.nearest(name)[0].lower() == value.lower() != ""),
    )
    given = [matched for wanted, matched in tests if wanted]
    return bool(given) and all(given)


def _names(owner: Owner) -> tuple[str, ...]:
    return owner.mail.lower(), owner.object_id.lower(), owner.name.lower()


def _app_ids(finding: Finding) -> tuple[str, ...]:
    return tuple(str(finding.facts.get(name, "")).lower() for name in ("app_id", "client_id"))
