"""The bricks of Adaptive Cards 1.5: text that is shown as it is, boxes, and the envelope that Workflows take.

Text from the tenant stands only in TextRuns: those know no Markdown and no mentions.
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .text import visible

LONG = 600
"""How long a text may be where nothing else is said."""

Element = dict[str, Any]


def paragraph(inlines: list[Element], *, spacing: str = "default", separator: bool = False) -> Element:
    """A paragraph of TextRuns."""
    block: Element = {"type": "RichTextBlock", "inlines": inlines}
    if spacing != "default":
        block["spacing"] = spacing
    if separator:
        block["separator"] = True
    return block


def column(width: str, items: list[Element]) -> Element:
    """A column of a ColumnSet."""
    return {"type": "Column", "width": width, "items": items}


# Renderers replace {{DATE(...)}} and {{TIME(...)}} in a run's text, but never across two runs:
# https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features#datetime-formatting-and-localization
_BRACES = re.compile(r"(?<=\{)(?=\{)")


def runs(
    content: str,
    *,
    weight: str = "",
    size: str = "",
    color: str = "",
    subtle: bool = False,
    mono: bool = False,
    limit: int = LONG,
) -> list[Element]:
    """A text as TextRuns of one look, literally."""
    look: Element = {name: value for name, value in (("weight", weight), ("size", size), ("color", color)) if value}
    if subtle:
        look["isSubtle"] = True
    if mono:
        look["fontType"] = "monospace"
    return [{"type": "TextRun", "text": part, **look} for part in _BRACES.split(visible(content, limit))]


@dataclass(frozen=True, slots=True)
class Mention:
    """A person whom Teams notifies: an object id or sign-in name, and the text that stands for it on the card."""

    id: str
    name: str

    @property
    def text(self) -> str:
        """The text as it stands in a TextBlock: the same, letter for letter, as in the entity."""
        return f"<at>{self.name}</at>"


def mentions(people: Iterable[tuple[str, str]]) -> tuple[Mention, ...]:
    """Ids and names as mentions: nothing of a name is left that could be markup, and no two names are alike.

    https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format#user-mention-in-adaptive-cards
    """
    found: dict[str, Mention] = {}
    taken: set[str] = set()
    for identifier, name in people:
        if identifier.lower() in found:
            continue
        plain = _plain(name)
        number = 2
        unique = plain
        while unique.lower() in taken:
            unique = f"{plain} {number}"
            number += 1
        taken.add(unique.lower())
        found[identifier.lower()] = Mention(identifier, unique)
    return tuple(found.values())


def _plain(name: str) -> str:
    """Letters, marks and digits of a name, with single blanks, hyphens and apostrophes between them."""
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" or letter in "-'" else " " for letter in name)
    words = (re.sub(r"([-'])[-']+", r"\1", word).strip("-'") for word in kept.split())
    return " ".join(word for word in words if word)[:60].strip(" -'") or "owner"


def greeted(people: Sequence[Mention]) -> Element:
    """A line that mentions people: only a TextBlock can, so it holds nothing else."""
    return {"type": "TextBlock", "text": " ".join(one.text for one in people), "wrap": True, "spacing": "small"}


def envelope(body: list[Element], fallback: str, people: Sequence[Mention] = ()) -> Element:
    """A card in its envelope; `fallback` is for clients that know no cards, and for notifications."""
    teams: Element = {"width": "Full"}
    if people:
        teams["entities"] = [
            {"type": "mention", "text": one.text, "mentioned": {"id": one.id, "name": one.name}} for one in people
        ]
    content = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.5",
        "msteams": teams,
        "fallbackText": fallback,
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def size(message: Element) -> int:
    """The bytes of a message as it is sent."""
    return len(json.dumps(message, ensure_ascii=False).encode())
