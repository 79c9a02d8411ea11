"""How endpoints are told what to add to a task."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from tasks_service.includes.service import REGISTRY

MAX_NAMED = 20
MEANINGS = "; ".join(f"`{name}` is {one.description}" for name, one in REGISTRY.items())
EXPECTED = ", ".join(f"'{name}'" for name in sorted(REGISTRY))


def _known(name: str) -> str:
    if name not in REGISTRY:
        raise PydanticKnownError("literal_error", {"expected": EXPECTED})
    return name


Name = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": sorted(REGISTRY)})]


def included(
    include: Annotated[
        list[Name] | None,
        Query(
            max_length=MAX_NAMED,
            description=f"What to add to each task, repeated or joined by commas. {MEANINGS}.",
        ),
    ] = None,
) -> tuple[str, ...]:
    """Return what to add to each task."""
    return tuple(dict.fromkeys(include or ()))


Including = Annotated[tuple[str, ...], Depends(included)]
