"""Making what is answered of rows, where there are many of them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import orjson
import pydantic_core
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def construct(model: type[M], values: dict[str, Any]) -> M:
    """Make a model of values that are valid, and all there, in the order of its fields: nothing is looked at.

    `model_construct` asks each field for a default and for other names, which for a model of thirty fields takes six
    times as long as to write it as JSON. Of the same values this makes the same, for models without private attributes.
    The dictionary is the model's from then on.
    """
    made = model.__new__(model)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


class WrittenJson(bytes):
    """Data that is written as JSON already."""


def as_json(data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> WrittenJson:
    """Write what Out models would have, without making them: a fifth of the time where there are many.

    Keys and their order are the models'; values are what models are given, and models among them are written by their
    own serializer. What an Out model does to its values itself, such as leaving some out, is not done.
    """
    try:
        return WrittenJson(orjson.dumps(data, default=_value, option=orjson.OPT_UTC_Z))
    except orjson.JSONEncodeError:
        # What orjson does not know and models do, such as durations, or whole numbers of more than 64 bits.
        return WrittenJson(pydantic_core.to_json(data))


def _value(value: Any) -> Any:
    """Return what is no JSON of itself: ids of the driver's own kind, and models. Raises TypeError for others."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, BaseModel):
        return orjson.Fragment(value.__pydantic_serializer__.to_json(value))
    raise TypeError
