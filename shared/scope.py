"""Scopes: resource paths, and which resources lie in them; no I/O."""

from __future__ import annotations

TENANT = "/"
"""The scope that covers everything: Entra objects have no narrower one."""


def covers(scope: str, resource_id: str) -> bool:
    """Whether a resource path lies in a scope, compared by segment and without case as ARM does."""
    if scope == TENANT:
        return True
    outer = scope.lower().rstrip("/").split("/")
    return resource_id.lower().split("/")[: len(outer)] == outer


def overlap(one: str, other: str) -> bool:
    """Whether two scopes have any resource in common."""
    return covers(one, other) or covers(other, one)
