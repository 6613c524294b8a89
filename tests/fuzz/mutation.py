"""Bytes that turn a good object into a bad one: what a fuzzer varies, and every run repeats."""

from __future__ import annotations

import copy
from typing import Any


class Choices:
    """Decisions taken from bytes, the same for the same bytes; when they run out, the first of everything."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether there are bytes left to decide by."""
        return self._at < len(self._data)

    def number(self, below: int) -> int:
        """A number from 0 to `below`, which is left out."""
        taken = self._data[self._at : self._at + 2]
        self._at += 2
        return int.from_bytes(taken, "big") % below

    def text(self) -> str:
        """A text of up to 40 characters, lone surrogates included."""
        size = 2 * self.number(40)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken.decode("utf-16-be", "surrogatepass" if len(taken) % 2 == 0 else "replace") if taken else ""


def _deep() -> Any:
    nested: Any = "bottom"
    for _ in range(60):
        nested = {"value": [nested]}
    return nested


NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**400, 1.5, float("inf"), float("nan"), "", " ", "null", [], {}, [None], [[]]),
    *(
        {"": None},
        {"value": None},
        "x" * 70_000,
        "\x00",
        "\ud800",
        "\u202e",
        "a\nb",
        "' or 1 eq 1",
        "${jndi}",
        "%s%n",
        "../",
    ),
    *("9999-12-31T23:59:59.9999999-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z", "2026-11-01", "24:00"),
    *("https://elsewhere.example/", "http://[", "/subscriptions//resourceGroups/", "//", "[" * 900, '{"a":' * 900),
    _deep(),
)
"""Values that have broken programs before."""


def mutated(sample: Any, choices: Choices) -> Any:
    """A copy of a sample of JSON in which values were replaced, removed, renamed, doubled or exchanged."""
    root = [copy.deepcopy(sample)]
    for _ in range(8):
        if not choices.left:
            break
        holder, place = _somewhere(root, choices)
        what = choices.number(6)
        if what == 0 and isinstance(holder, dict):
            del holder[place]
        elif what == 1 and isinstance(holder, dict):
            holder[choices.text()] = holder.pop(place)
        elif what == 2 and isinstance(holder, list) and holder is not root:
            holder.append(holder[place])
        elif what == 3:
            holder[place] = choices.text()
        elif what == 4:
            other, there = _somewhere(root, choices)
            holder[place] = copy.deepcopy(other[there])
        else:
            holder[place] = copy.deepcopy(NASTY[choices.number(len(NASTY))])
    return root[0]


def _somewhere(root: list[Any], choices: Choices) -> tuple[Any, Any]:
    """A place in a tree: what holds it, and its key there."""
    holder: Any = root
    place: Any = 0
    for _ in range(1 + choices.number(6)):
        inner = holder[place]
        if not inner or not isinstance(inner, dict | list):
            break
        holder = inner
        index = choices.number(len(inner))
        place = list(inner)[index] if isinstance(inner, dict) else index
    return holder, place
