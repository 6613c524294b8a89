"""Tenants of any size: objects that are made when they are looked at, and listed from templates at little cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Generic, NamedTuple

from .directory import key_blob, moment_text
from .entities import Application, Certificate, Secret, ServicePrincipal, User, derived
from .generate_clusters import add_clusters
from .tenant import Entity, Objects, Tenant
from .world import compact

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)
NOTICE = 60
"""Days before an end within which the expiring ones end; all others end later."""
OBJECT, CLIENT, PRINCIPAL, MANAGED, KEY, SECOND_KEY = range(1, 7)


class Values(NamedTuple):
    """What differs from one generated object to the next."""

    id: str
    app_id: str
    name: str
    key_id: str
    second_key_id: str
    thumbprint: str
    start: datetime
    end: datetime

    def texts(self) -> dict[bytes, bytes]:
        """The values as they stand in JSON."""
        *names, start, end = self
        texts = [*map(str.encode, names), _moment(start), _moment(end)]
        return dict(zip(_NAMES, texts, strict=True))


_NAMES = tuple(name.encode() for name in Values._fields)


@cache
def _moment(moment: datetime) -> bytes:
    return (moment_text(moment) or "").encode()


BLANK = Values(
    id="00000000-b1a4-4000-8000-000000000001",
    app_id="00000000-b1a4-4000-8000-000000000002",
    name="@blank name@",
    key_id="00000000-b1a4-4000-8000-000000000003",
    second_key_id="00000000-b1a4-4000-8000-000000000004",
    thumbprint="@blank thumbprint@",
    start=datetime(1901, 1, 1, tzinfo=UTC),
    end=datetime(1902, 1, 1, tzinfo=UTC),
)
"""Values that occur nowhere else: a rendered object with these is a template."""

_BLANKS = {text.decode(): f"%({name.decode()})b" for name, text in BLANK.texts().items()}
_BLANKS[key_blob(BLANK.key_id)] = "%(blob)b"
_BLANK = re.compile("|".join(map(re.escape, _BLANKS)))


class Generated(Generic[Entity]):
    """A crowd of objects of one kind; their ids carry their index, so that none has to be kept."""

    def __init__(
        self,
        count: int,
        shape_of: Callable[[int], str],
        values_of: Callable[[int], Values],
        build: Callable[[str, int, Values], Entity],
        index_of: Callable[[str], int | None],
    ) -> None:
        self.count = count
        self.index_of = index_of
        self._shape_of = shape_of
        self._values_of = values_of
        self._build = build
        self._templates: dict[Hashable, bytes] = {}

    def item(self, index: int) -> Entity:
        """The object at an index, made anew."""
        return self._build(self._shape_of(index), index, self._values_of(index))

    def row(self, index: int, render: Callable[[Entity], Mapping[str, Any]], rendering: Hashable) -> bytes:
        """The JSON of the object at an index; `rendering` tells apart what `render` depends on."""
        shape = self._shape_of(index)
        template = self._templates.get((shape, rendering))
        if template is None:
            text = compact(render(self._build(shape, index, BLANK))).decode().replace("%", "%%")
            template = _BLANK.sub(lambda match: _BLANKS[match[0]], text).encode()
            self._templates[shape, rendering] = template
        values = self._values_of(index)
        texts = values.texts()
        if b"%(blob)b" in template:
            texts[b"blob"] = key_blob(values.key_id).encode()
        return template % texts


def generate(
    applications: int = 1000,
    service_principals: int = 0,
    subscriptions: int = 1,
    clusters: int = 0,
    seed: int = 1,
    expiring: int | Sequence[int] = 0,
    on_service_principals: int = 0,
    role_assignments: int = 0,
    now: datetime | None = None,
) -> Tenant:
    """A tenant of that size, the same one for the same arguments.

    `expiring` applications have one secret that ends within 60 days: a number of them, spread evenly, or their places
    in the listing, counted from 1. The first `on_service_principals` clusters sign in as an application. Each cluster
    has the rights that it needs; other `role_assignments` make up the number, if it is larger.
    """
    now = now or NOW
    tenant_id = _guid(seed, 0, 0)
    tenant = Tenant(id=tenant_id, name=f"Generated {seed}", domain=f"generated-{seed}.example", starts=now)
    tenant.users = [
        User(id=derived(tenant_id, "user", str(n)), name=f"Person {n}", upn=f"person{n}@{tenant.domain}")
        for n in range(20)
    ]
    tenant.applications = Objects(_applications(tenant, applications, _places(expiring, applications), seed, now))
    tenant.service_principals = Objects(_service_principals(applications, service_principals, seed, now))
    clients = [_guid(seed, CLIENT, number) for number in range(on_service_principals)]
    add_clusters(tenant, subscriptions, clusters, clients, role_assignments)
    return tenant


def _guid(seed: int, kind: int, index: int) -> str:
    return f"{seed & 0xFFFFFFFF:08x}-{kind:04x}-4000-8000-{index:012x}"


def _index(guid: str, seed: int, kinds: tuple[int, ...], count: int) -> int | None:
    prefixes = tuple(_guid(seed, kind, 0)[:24] for kind in kinds)
    if not guid.startswith(prefixes) or len(guid) != 36:
        return None
    index = int(guid[24:], 16)
    return index if index < count else None


def _places(expiring: int | Sequence[int], count: int) -> dict[int, int]:
    """Indexes of the expiring applications, and in how many days each one's secret ends."""
    if isinstance(expiring, int):
        indexes = [int((n + 0.5) * count / expiring) for n in range(expiring)]
    else:
        indexes = [place - 1 for place in expiring]
    return {index: 1 + n * (NOTICE - 2) // max(len(indexes), 1) for n, index in enumerate(indexes)}


def _applications(
    tenant: Tenant, count: int, expiring: Mapping[int, int], seed: int, now: datetime
) -> Generated[Application]:
    created = now - timedelta(days=900)

    def shape_of(index: int) -> str:
        return "secret" if index in expiring else _mixed(index, seed, ("none", "two", "certificate", *("secret",) * 7))

    def values_of(index: int) -> Values:
        left = timedelta(days=expiring.get(index, 0) or NOTICE + 30 + _mix(index, seed) % 600)
        return Values(
            id=_guid(seed, OBJECT, index),
            app_id=_guid(seed, CLIENT, index),
            name=f"app-{index + 1:06d}",
            key_id=_guid(seed, KEY, index),
            second_key_id=_guid(seed, SECOND_KEY, index),
            thumbprint=f"{_mix(index, seed):08X}" * 5,
            start=now - timedelta(days=365),
            end=now + left,
        )

    def build(shape: str, index: int, values: Values) -> Application:
        start, end = values.start, values.end
        secrets = []
        if shape in ("secret", "two"):
            secrets.append(Secret(key_id=values.key_id, name="secret", start=start, end=end))
        if shape == "two":
            secrets.append(Secret(key_id=values.second_key_id, name="second", start=start, end=end))
        certificate = Certificate(
            key_id=values.key_id, name="CN=app", thumbprint=values.thumbprint, start=start, end=end
        )
        return Application(
            id=values.id,
            app_id=values.app_id,
            name=values.name,
            created=created,
            secrets=secrets,
            certificates=[certificate] if shape == "certificate" else [],
            owners=[tenant.users[index % len(tenant.users)].id] if index % 7 else [],
        )

    return Generated(count, shape_of, values_of, build, lambda guid: _index(guid, seed, (OBJECT, CLIENT), count))


def _service_principals(applications: int, count: int, seed: int, now: datetime) -> Generated[ServicePrincipal]:
    created = now - timedelta(days=900)
    site = f"/subscriptions/{_guid(seed, 0, 1)}/resourcegroups/rg/providers/Microsoft.Web/sites"

    def shape_of(index: int) -> str:
        if index % 5 == 4:
            return "managed"
        return "own" if index < applications else "foreign"

    def values_of(index: int) -> Values:
        managed = index % 5 == 4
        return Values(
            id=_guid(seed, PRINCIPAL, index),
            app_id=_guid(seed, MANAGED if managed else CLIENT, index),
            name=f"identity-{index + 1:06d}" if managed else f"app-{index + 1:06d}",
            key_id="",
            second_key_id="",
            thumbprint="",
            start=created,
            end=created,
        )

    def build(shape: str, index: int, values: Values) -> ServicePrincipal:
        return ServicePrincipal(
            id=values.id,
            app_id=values.app_id,
            name=values.name,
            created=created,
            type="ManagedIdentity" if shape == "managed" else "Application",
            owner_tenant="ffffffff-0000-4000-8000-000000000001" if shape == "foreign" else None,
            resource_id=f"{site}/{values.name}",
        )

    def index_of(guid: str) -> int | None:
        index = _index(guid, seed, (PRINCIPAL, CLIENT, MANAGED), count)
        is_client = guid.startswith(_guid(seed, CLIENT, 0)[:24])
        return None if index is not None and is_client and index % 5 == 4 else index

    return Generated(count, shape_of, values_of, build, index_of)


def _mix(index: int, seed: int) -> int:
    return ((index + 1) * 2654435761 ^ seed * 40503) & 0xFFFFFFFF


def _mixed(index: int, seed: int, choices: tuple[str, ...]) -> str:
    return choices[(_mix(index, seed) >> 8) % len(choices)]
