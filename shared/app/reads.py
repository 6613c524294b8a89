"""Many reads at the same time, bounded; what fails becomes Unread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from ..clients.http import NotFoundError, ReadError
from ..model import Unread

CONCURRENCY = 16
"""Reads of one kind at the same time."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def each(
    items: Iterable[Item], read: Callable[[Item], Awaitable[Answer]], unread: list[Unread]
) -> list[tuple[Item, Answer]]:
    """What `read` gives for each item, many at a time; what fails goes to `unread`, what is gone is left out."""
    limit = asyncio.Semaphore(CONCURRENCY)
    found: list[tuple[Item, Answer]] = []

    async def one(item: Item) -> None:
        async with limit:
            try:
                found.append((item, await read(item)))
            except NotFoundError:
                return
            except ReadError as error:
                # A subscription that never used a service has none of its resources, and that is an answer.
                if not error.unread.reason.endswith("MissingSubscriptionRegistration"):
                    unread.append(error.unread)

    await asyncio.gather(*map(one, items))
    return found
