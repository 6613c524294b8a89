"""What a story has to tell in Teams, compared with what was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .credentials import Table, moment


@dataclass(frozen=True, kw_only=True, order=True)
class Told:
    """A line on a card: of an open finding its title, of a resolved one what begins with a check mark."""

    at: datetime
    team: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:%a %d %b %Y %H:%M}  #{self.team}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that some channels have to hear, and whom no channel may hear of."""

    lines: tuple[Told, ...] = ()
    teams: frozenset[str] = frozenset()
    """Of these channels all lines are declared."""
    untold: tuple[str, ...] = ()
    """Names that are on no card."""

    def differences(self, told: Iterable[Told]) -> list[str]:
        """What is missing and what is too much, a sentence each; nothing when the story was told as declared."""
        told = list(told)
        wanted, heard = Counter(self.lines), Counter(one for one in told if one.team in self.teams)
        extra = heard - wanted + Counter(one for one in told if any(name in one.text for name in self.untold))
        missing = [f"Not told: {one}" for one in sorted((wanted - heard).elements())]
        return missing + [f"Told, and not in the story: {one}" for one in sorted(extra)]


def declared(table: Table) -> Story:
    """What the rows [[told]] and [[untold]] of a tenant file declare."""
    rows = table.get("told", [])
    return Story(
        lines=tuple(
            Told(at=moment(card["at"]), team=row["team"], text=card["text"]) for row in rows for card in row["cards"]
        ),
        teams=frozenset(row["team"] for row in rows),
        untold=tuple(row["about"] for row in table.get("untold", [])),
    )
