"""Making what is answered of rows, where there are many of them."""

from typing import Any, TypeVar

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
