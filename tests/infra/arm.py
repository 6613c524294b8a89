"""Reading compiled Resource Manager templates."""

from collections.abc import Iterator
from typing import Any


def resources(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every resource of a template, those of its modules included; not the modules, not what exists already."""
    found = template["resources"]
    for resource in found.values() if isinstance(found, dict) else found:
        if resource["type"] == "Microsoft.Resources/deployments":
            yield from resources(resource["properties"]["template"])
        elif not resource.get("existing"):
            yield resource


def modules(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The modules of a template by their symbolic name, or by their place where the template has no names."""
    found = template["resources"]
    named = found.items() if isinstance(found, dict) else ((str(place), one) for place, one in enumerate(found))
    return {name: one for name, one in named if one["type"] == "Microsoft.Resources/deployments"}


def templates(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The template itself and those of its modules."""
    yield template
    found = template["resources"]
    for resource in found.values() if isinstance(found, dict) else found:
        if resource["type"] == "Microsoft.Resources/deployments":
            yield from templates(resource["properties"]["template"])


def texts(value: Any) -> Iterator[str]:
    """Every text within a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
