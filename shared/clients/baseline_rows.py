"""The rows of the baseline: grants, clusters and subscriptions (docs/design.md, Data)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, datetime
from sys import intern
from typing import Any

from ..access import BaselineGrant, Caller, RoleAssignment, one_line, same
from ..model import Former, Replaced
from .values import SCHEMA, TEXT, Row, cut, date_text, json_text, moment, required, string


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRow:
    """A cluster as an earlier scan saw it; its service principal was seen alive if `known`."""

    id: str
    client_id: str = ""
    known: bool = False
    principals: tuple[str, ...] = ()
    """Lower-case object ids of the identities that it depends on, in order."""
    identities: tuple[str, ...] = ()
    """Lower-case ids of the user-assigned identities among them, and paths of applications that it is trusted by."""
    former: Former = Former()
    """What it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRow:
    """A subscription that the last scan listed."""

    subscription_id: str
    name: str = ""


def key(resource_id: str) -> str:
    """A resource id as a RowKey: those may not hold `/ \\ # ?`, and ids have no stable case."""
    return hashlib.sha256(resource_id.lower().encode()).hexdigest()


def cluster_row(cluster: ClusterRow) -> Row:
    """A cluster of the baseline as a row."""
    return {
        "PartitionKey": "cluster",
        "RowKey": key(cluster.id),
        "schema": SCHEMA,
        "id": cut(cluster.id),
        "client_id": cluster.client_id,
        "known": cluster.known,
        **_spread("principals", cluster.principals),
        **_spread("identities", cluster.identities),
        "former": json_text(_former_row(cluster.former)),
    }


def cluster_of(row: Mapping[str, Any]) -> ClusterRow:
    """A row as a cluster of the baseline; raises one of UNCLEAR for a row that is none."""
    return ClusterRow(
        id=intern(string(row["id"])),
        client_id=intern(string(row.get("client_id", ""))),
        known=bool(row.get("known")),
        principals=tuple(_gathered(row, "principals")),
        identities=tuple(_gathered(row, "identities")),
        former=_former_of(json.loads(string(row.get("former") or "{}")), string(row.get("client_id", ""))),
    )


def _former_row(former: Former) -> Row:
    found = {
        "principals": dict(former.principals),
        "replaced": [[one.identity, one.principal_id, date_text(one.since)] for one in former.replaced],
        "client_id": former.client_id,
        "service_principal": former.service_principal,
        "converted": date_text(former.converted),
        "images": dict(former.images),
        "issuers": former.issuers,
    }
    return {name: value for name, value in found.items() if value}


def _former_of(row: Mapping[str, Any], client_id: str) -> Former:
    """A row of an older version says at least what the cluster ran on."""
    return Former(
        principals={intern(string(name)): intern(string(held)) for name, held in row.get("principals", {}).items()},
        replaced=tuple(
            Replaced(identity=string(identity), principal_id=string(held), since=required(since))
            for identity, held, since in row.get("replaced", ())
        ),
        client_id=string(row.get("client_id", client_id.lower())),
        service_principal=string(row.get("service_principal", "")),
        converted=moment(row.get("converted")),
        images={intern(string(name)): intern(string(image)) for name, image in row.get("images", {}).items()},
        issuers=tuple(string(one) for one in row.get("issuers", ())),
    )


def grant_row(grant: BaselineGrant) -> Row:
    """A grant of the baseline as a row."""
    one, by = grant.assignment, grant.deleted_by
    return {
        "PartitionKey": "grant",
        "RowKey": key(one.id),
        "schema": SCHEMA,
        "id": cut(one.id),
        "principal_id": one.principal_id,
        "principal_type": one.principal_type,
        "role_definition_id": cut(one.role_definition_id),
        "scope": cut(one.scope),
        "condition": cut(one.condition),
        "condition_version": one.condition_version,
        **_spread("listed_in", sorted(grant.ever.listed_in)),
        **_spread("left", sorted(grant.left)),
        **_spread("via", grant.via),
        "first_seen": date_text(grant.first_seen),
        "deleted_at": date_text(grant.deleted_at),
        "deleted_after": date_text(grant.deleted_after),
        "deleted_by": json_text([by.object_id, by.upn, by.app_id, by.confirmed]) if by else "",
    }


def grant_of(row: Mapping[str, Any]) -> BaselineGrant:
    """A row as a grant of the baseline; raises one of UNCLEAR for a row that is none."""
    by = json.loads(row.get("deleted_by") or "null")
    left, listed = same(*_gathered(row, "left")), same(*_gathered(row, "listed_in"))
    return BaselineGrant(
        assignment=RoleAssignment(
            # The listings hold the same texts.
            id=intern(string(row["id"])),
            principal_id=intern(string(row["principal_id"])),
            principal_type=intern(string(row.get("principal_type", ""))),
            role_definition_id=intern(string(row["role_definition_id"])),
            scope=intern(string(row["scope"])),
            condition=one_line(string(row.get("condition", ""))),
            condition_version=string(row.get("condition_version", "")),
            listed_in=listed - left if left else listed,
        ),
        first_seen=required(row["first_seen"]),
        left=left,
        via=tuple(_gathered(row, "via")),
        deleted_at=_past(row.get("deleted_at")),
        deleted_after=_past(row.get("deleted_after")),
        deleted_by=Caller(object_id=string(by[0]), upn=string(by[1]), app_id=string(by[2]), confirmed=bool(by[3]))
        if by
        else None,
    )


def _past(text: object) -> datetime | None:
    """The moment of what has happened; raises ValueError for the end of time, after which nothing can be due."""
    parsed = moment(text)
    if parsed and parsed.year == MAXYEAR:
        raise ValueError("a date that cannot have been")
    return parsed


def _spread(name: str, ids: Sequence[str]) -> Row:
    """Ids as a text, over as many properties as they need: everybody may be in one group."""
    parts: list[list[str]] = [[]]
    # The last id of a property has no comma behind it.
    room = TEXT + 1
    for one in map(cut, ids):
        size = len(one.encode("utf-16-le", "surrogatepass")) // 2 + 1
        if size > room:
            parts.append([])
            room = TEXT + 1
        parts[-1].append(one)
        room -= size
    return {name if number == 0 else f"{name}_{number}": ",".join(part) for number, part in enumerate(parts)}


def _gathered(row: Mapping[str, Any], name: str) -> list[str]:
    """The ids that were spread over properties."""
    found = [row.get(name)]
    while found[-1]:
        found.append(row.get(f"{name}_{len(found)}"))
    return [intern(one) for part in found if part for one in string(part).split(",") if one]
