from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from chassis.outbox.catalogue import public_example
from chassis.patching import without_default
from pydantic import BaseModel, Field, StringConstraints

from tasks_service.feed.rules import MAX_TYPE_CHARACTERS
from tasks_service.registry import CHANGES

Type = Annotated[str, StringConstraints(max_length=MAX_TYPE_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes are asked for: those after positions, of which None is the present."""

    positions: Mapping[UUID, int] | None
    types: Sequence[str] | None = None
    workspace_id: UUID | None = None
    project_id: UUID | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the feed, and where it goes on."""

    entries: Sequence[Mapping[str, Any]]
    next_cursor: str
    has_more: bool

    @property
    def meta(self) -> dict[str, Any]:
        """Return what is told of it beside it."""
        return {"next_cursor": self.next_cursor, "has_more": self.has_more}


class FieldChanged(BaseModel):
    """What happened to a field."""

    field: str
    old: Any
    new: Any


class Gone(BaseModel):
    """Why something is gone."""

    reason: Literal["deleted", "purged", "access_lost"] = Field(
        description="`deleted` (tasks and projects: to the trash), `purged` (for good), or `access_lost`."
    )


class ChangeEntry(BaseModel):
    """A change, as it is told on every channel."""

    seq: int = Field(description="Its place among the changes of its workspace.")
    cursor: str = Field(description="Your position right after it.")
    event_id: UUID = Field(description="The same wherever it is told.")
    type: str = Field(description="What happened, such as `task.updated`; `GET /api/v1/meta/events` lists them.")
    workspace_id: UUID
    project_id: UUID | None
    task_id: UUID | None
    subject: UUID = Field(description="The id of the resource that it is about.")
    version: int = Field(description="The version of the resource after it.")
    changes: list[FieldChanged]
    actor: dict[str, Any] | None = Field(description="Who did it, and through what; null for the server itself.")
    data: dict[str, Any] | None = Field(description="The resource right after it; null with `access_lost`.")
    occurred_at: str = Field(json_schema_extra={"format": "date-time"})
    origin_request_id: str | None = Field(description="The `X-Request-ID` of what caused it.")
    removed: Gone | None = Field(
        default=None,
        description="Only where something is gone for you.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is None,
    )


class ChangesOut(BaseModel):
    """A part of the feed."""

    changes: list[ChangeEntry]
    next_cursor: str = Field(description="Where to go on, whether there is more or not.")
    has_more: bool = Field(description="Whether there was more than this already.")

    @classmethod
    def of(cls, part: Part) -> "ChangesOut":
        """Make it of a part."""
        return cls.model_validate({"changes": part.entries, **part.meta})


ENTRY_EXAMPLE = next(public_example(one) for one in CHANGES if one.name == "task.updated")
GONE_EXAMPLE = {**ENTRY_EXAMPLE, "seq": 8, "changes": [], "data": None, "removed": {"reason": "access_lost"}}
CHANGES_EXAMPLE: dict[str, Any] = {
    "changes": [ENTRY_EXAMPLE, GONE_EXAMPLE],
    "next_cursor": ENTRY_EXAMPLE["cursor"],
    "has_more": False,
}
