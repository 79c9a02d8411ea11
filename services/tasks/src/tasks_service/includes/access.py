"""How endpoints are told what to add to a task."""

from typing import Annotated

from chassis.errors import ErrorDetail, InvalidInput
from chassis.web.validation import FIELD_CODES, closest
from fastapi import Depends, Query
from pydantic import StringConstraints, WithJsonSchema

from tasks_service.includes.service import REGISTRY

MAX_NAMED = 20
NOT_ALLOWED = "NOT_ALLOWED"
MEANINGS = "; ".join(f"`{name}` is {one.description}" for name, one in REGISTRY.items())
Name = Annotated[str, StringConstraints(max_length=200), WithJsonSchema({"type": "string", "enum": sorted(REGISTRY)})]


def included(
    include: Annotated[
        list[Name] | None,
        Query(
            max_length=MAX_NAMED,
            description=f"What to add to each task, repeated or joined by commas. {MEANINGS}.",
        ),
    ] = None,
) -> tuple[str, ...]:
    """Return what to add to each task. Raises InvalidInput for what nobody knows."""
    named = tuple(dict.fromkeys(name for text in include or () for name in text.split(",")))
    unknown = [name for name in named if name not in REGISTRY]
    if unknown:
        raise InvalidInput(details=[_unknown(name) for name in unknown[:MAX_NAMED]])
    return named


def _unknown(name: str) -> ErrorDetail:
    guess = closest(name, REGISTRY)
    hint = f"did you mean {guess}?" if guess else None
    return ErrorDetail(NOT_ALLOWED, FIELD_CODES[NOT_ALLOWED], "include", hint=hint, allowed=sorted(REGISTRY))


Including = Annotated[tuple[str, ...], Depends(included)]
