from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, RootModel

from tasks_service.counting.rules import Dimension

GroupKey = dict[Dimension, str | None]


class Group(BaseModel):
    """Tasks that have something in common."""

    key: GroupKey = Field(description="What they have in common, by each of `group_by`; null is that there is none.")
    count: int = Field(description="How many of them you see.")

    @classmethod
    def of(cls, key: Mapping[Dimension, str | None], count: int) -> "Group":
        """Make the resource of a group."""
        return cls.model_construct(key=dict(key), count=count)


class FacetValue(BaseModel):
    """Tasks that have a value."""

    value: str | None = Field(description="A key, an id or a day; null is that there is none.")
    count: int = Field(description="How many of them you see.")


class Facets(RootModel[dict[Dimension, list[FacetValue]]]):
    """What tasks have, with how many have it, by each thing that was asked for."""


GROUP_EXAMPLE: dict[str, Any] = {
    "key": {"status": "todo", "assignee": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"},
    "count": 42,
}
FACETS_EXAMPLE: dict[str, Any] = {
    "status": [{"value": "todo", "count": 42}, {"value": "done", "count": 7}],
    "label": [{"value": None, "count": 40}, {"value": "0199d3b2-7a60-7c3d-9a11-5b1e3c7f9a21", "count": 9}],
}
