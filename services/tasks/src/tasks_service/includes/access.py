"""How endpoints are told what to add to a task."""

from collections.abc import Collection, Iterable
from typing import Annotated

from chassis.errors import InvalidInput, unknown_field
from fastapi import Depends, Query
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from tasks_service.includes.schemas import MAX_FIELDS, TaskShown
from tasks_service.includes.service import REGISTRY

MAX_NAMED = 20
MEANINGS = "; ".join(f"`{name}` is {one.description}" for name, one in REGISTRY.items())
EXPECTED = ", ".join(f"'{name}'" for name in sorted(REGISTRY))


def _known(name: str) -> str:
    if name not in REGISTRY:
        raise PydanticKnownError("literal_error", {"expected": EXPECTED})
    return name


Name = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": sorted(REGISTRY)})]


async def included(
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


def fields_of(names: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the fields to show. Raises InvalidInput for those that there are not."""
    found = tuple(dict.fromkeys(names))
    if problems := [unknown_field(name, known, "fields") for name in found if name not in known]:
        raise InvalidInput(details=problems)
    return found


async def chosen_fields(
    fields: Annotated[
        list[str] | None,
        Query(max_length=MAX_FIELDS, description="What of the task to show, joined by commas; `id` always is."),
    ] = None,
) -> tuple[str, ...]:
    """Return what of a task to show. Raises InvalidInput."""
    return fields_of(fields or (), TaskShown.model_fields)


ChosenFields = Annotated[tuple[str, ...], Depends(chosen_fields)]
