"""What one property of a table's row holds: texts cut to its size, structures as JSON, moments in UTC.

https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

_T = TypeVar("_T")

SCHEMA = 1
"""Raised when a row's meaning changes; rows of a higher number are left alone."""

TEXT = 32_768
"""The most UTF-16 characters that one string property holds."""

UNCLEAR = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading a row raises that somebody edited."""

Row = dict[str, Any]


def etag_of(row: Mapping[str, Any]) -> str:
    """The version of a row as it was read, empty for one that was not read."""
    metadata = getattr(row, "metadata", None) or {}
    return str(metadata.get("etag") or "")


def cut(text: str) -> str:
    """A text that fits a property, cut visibly; the limit counts UTF-16 units."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    if len(encoded) <= 2 * TEXT:
        return text
    return encoded[: 2 * (TEXT - 8)].decode("utf-16-le", "ignore") + "… (cut)"


def json_text(value: object) -> str:
    """A structure as the text of one property; raises ValueError when it is too large for one."""
    text = compact(value)
    if not fits(text):
        raise ValueError("a structure is larger than a table property")
    return text


def compact(value: object) -> str:
    """A structure as JSON, as short as it can be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=list)


def fits(text: str) -> bool:
    """Whether a property holds a text."""
    return len(text.encode("utf-16-le", "surrogatepass")) <= 2 * TEXT


def fitting(values: Sequence[_T]) -> Sequence[_T]:
    """The first ones of a list, as many as fit a property."""
    while not fits(compact(values)):
        values = values[: len(values) * 3 // 4]
    return values


def date_text(moment: datetime | None) -> str:
    """A moment as the text of a property, in UTC; empty for none."""
    return moment.astimezone(UTC).isoformat() if moment else ""


def moment(text: object) -> datetime | None:
    """The moment of a property, None for an empty one; raises ValueError for any other text."""
    if not text:
        return None
    if not isinstance(text, str):
        raise ValueError("not a date")
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def required(text: object) -> datetime:
    """The moment of a property that may not be empty; raises ValueError."""
    parsed = moment(text)
    if parsed is None:
        raise ValueError("a date is missing")
    return parsed


def string(value: object) -> str:
    """A property that must be a text; raises TypeError."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
