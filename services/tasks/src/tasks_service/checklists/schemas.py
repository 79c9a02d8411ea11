from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from chassis.dates import Day
from chassis.patching import NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

MAX_TEXT = 500
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT)]
PLACES = frozenset({"after_id", "before_id"})


class Place(BaseModel):
    """Where an item is to stand: right after one of the same checklist, or right before one."""

    model_config = ConfigDict(extra="forbid")
    read_only_fields: ClassVar[frozenset[str]] = frozenset()

    after_id: UUID | None = Field(default=None, description="The item that it stands right after.")
    before_id: UUID | None = Field(default=None, description="The item that it stands right before.")

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.after_id is not None and self.before_id is not None:
            raise PydanticCustomError("TWO_PLACES", "Give either after_id or before_id.")
        return self


class ChecklistItemCreate(Place):
    """A new item, which stands at the end unless it says otherwise."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "Ask who is coming"}]})

    text: Text = Field(description="1 to 500 characters.", examples=["Ask who is coming"])
    done: StrictBool = False
    assignee_id: UUID | None = Field(default=None, description="Somebody who can see the task.")
    due_date: Day | None = None


class ChecklistItemPatch(Place):
    """A JSON merge patch (RFC 7396); with `after_id` or `before_id` the item moves."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"done": True}]})

    text: Annotated[Text, NotNull] = Field(default="", json_schema_extra=without_default)
    done: Annotated[StrictBool, NotNull] = Field(default=False, json_schema_extra=without_default)
    assignee_id: UUID | None = Field(default=None, json_schema_extra=without_default)
    due_date: Day | None = Field(default=None, json_schema_extra=without_default)

    def given(self) -> dict[str, Any]:
        """Return the fields that the patch names, but for the place."""
        return {name: getattr(self, name) for name in self.model_fields_set - PLACES}

    @property
    def moves(self) -> bool:
        """Whether the patch names a place."""
        return self.after_id is not None or self.before_id is not None


class ChecklistItemOut(BaseModel):
    """One thing to do of a task that needs no task of its own."""

    id: UUID
    workspace_id: UUID
    task_id: UUID
    text: str
    done: bool
    done_at: datetime | None
    done_by: UUID | None
    assignee_id: UUID | None
    due_date: date | None
    position: str = Field(description="Sorts the items of a checklist, compared as bytes.")
    created_by: UUID
    version: int = Field(description="Raised by every change; the entity tag.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "ChecklistItemOut":
        """Make the resource of a row; rows come from our own tables and are not validated again."""
        return cls.model_construct(**{name: row[name] for name in cls.model_fields})


for _input in (ChecklistItemCreate, ChecklistItemPatch):
    _input.read_only_fields = frozenset(ChecklistItemOut.model_fields) - frozenset(_input.model_fields)

CHECKLIST_ITEM_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7c10-7c33-9f6a-2b1f6c0f5a41",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "text": "Ask who is coming",
    "done": False,
    "done_at": None,
    "done_by": None,
    "assignee_id": None,
    "due_date": None,
    "position": "a0",
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:10:00Z",
    "updated_at": "2026-11-24T09:10:00Z",
}
