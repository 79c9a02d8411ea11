"""Rows of a table, as people write them."""

from typing import Annotated, LiteralString
from uuid import UUID

from chassis.dates import Day, Instant
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from tasks_service.assignees.rules import MAX_ASSIGNEES
from tasks_service.data_lines.schemas import Key
from tasks_service.data_tables.rules import LISTS, due_input, values_of
from tasks_service.dues.schemas import DueInput, parse_due
from tasks_service.labels.schemas import MAX_LABELS
from tasks_service.names.schemas import Name as ShortName
from tasks_service.projects.schemas import Name
from tasks_service.tasks.rules import Priority, StatusCategory
from tasks_service.tasks.schemas import (
    MAX_ESTIMATE_MINUTES,
    CompletionPolicy,
    Description,
    ExternalId,
    ExternalSource,
    Title,
)

DUE_FORMS: LiteralString = (
    "A due is a day (2026-12-01), a time of whoever reads it (2026-12-01T09:00:00) or an instant "
    "(2026-12-01T09:00:00Z, or with a zone 2026-12-01T09:00:00+01:00[Europe/Berlin])."
)


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _due(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_due(due_input(value.strip()))
    except PydanticCustomError as refusal:
        if refusal.type != "INVALID_FORMAT":
            raise
        raise PydanticCustomError("INVALID_FORMAT", DUE_FORMS) from None


def _no_null(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("NULL_CHARACTER", "Text must not contain the character U+0000.")
    return value


Cell = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320), AfterValidator(_no_null)]


class TaskRow(BaseModel):
    """A row of a table of tasks, of which the title is needed alone."""

    model_config = ConfigDict(extra="forbid")

    id: UUID | None = None
    key: Key | None = None
    title: Annotated[Title, AfterValidator(_no_null)]
    description: Annotated[Description, AfterValidator(_no_null)] | None = None
    status: Cell | None = None
    status_category: Annotated[StatusCategory, BeforeValidator(_lower)] | None = None
    priority: Annotated[Priority, BeforeValidator(_lower)] = "none"
    project: Annotated[Name, AfterValidator(_no_null)] | None = None
    category: Annotated[ShortName, AfterValidator(_no_null)] | None = None
    labels: Annotated[list[Annotated[ShortName, AfterValidator(_no_null)]], Field(max_length=MAX_LABELS)] = Field(
        default_factory=list
    )
    parent: Key | None = None
    assignees: Annotated[list[Cell], Field(max_length=MAX_ASSIGNEES)] = Field(default_factory=list)
    start: Day | None = None
    due: Annotated[DueInput, BeforeValidator(_due)] | None = None
    deadline: Day | None = None
    estimate_minutes: Annotated[int, Field(ge=0, le=MAX_ESTIMATE_MINUTES)] | None = None
    completion_policy: CompletionPolicy = "any"
    completed_at: Instant | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    external_source: ExternalSource | None = None
    external_id: ExternalId | None = None


def as_fields(cells: dict[str, str]) -> dict[str, object]:
    """Return cells as what a row is made of. Raises ValueError for a list whose quotes are left open."""
    return {name: values_of(cell) if name in LISTS else cell for name, cell in cells.items()}
