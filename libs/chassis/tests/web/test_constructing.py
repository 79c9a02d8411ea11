"""What is made without a look at its fields is what the library makes of the same values."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from chassis.web.constructing import construct
from pydantic import BaseModel, Field


class Part(BaseModel):
    done: int
    total: int


class Whole(BaseModel):
    id: UUID
    title: str
    part: Part | None
    start: date | None
    custom: dict[str, Any]
    at: datetime
    more: list[int] = Field(default=[], exclude_if=lambda value: value == [])


VALUES = {
    "id": UUID(int=7),
    "title": "Ä\u2028",
    "part": Part(done=1, total=2),
    "start": None,
    "custom": {"a": [1, 2.5e-7, None]},
    "at": datetime(2026, 11, 27, 10, tzinfo=UTC),
    "more": [],
}


def test_what_is_constructed_is_the_same_as_by_the_library():
    made, by_library = construct(Whole, dict(VALUES)), Whole.model_construct(**VALUES)
    assert made == by_library
    assert made.model_fields_set == by_library.model_fields_set
    assert made.model_dump() == by_library.model_dump()
    assert made.model_dump_json() == by_library.model_dump_json()
    assert list(made.model_dump(mode="json")) == list(by_library.model_dump(mode="json"))
    assert repr(made) == repr(by_library)


def test_a_copy_of_what_is_constructed_leaves_it_as_it_is():
    made = construct(Whole, dict(VALUES))
    copied = made.model_copy(update={"title": "b"})
    assert (made.title, copied.title) == (VALUES["title"], "b")
    assert Whole.model_validate_json(made.model_dump_json()) == made
