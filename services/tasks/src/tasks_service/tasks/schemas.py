from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.tasks.rules import (
    CATEGORY_OF_STATUS,
    Due,
    Priority,
    Status,
    StatusCategory,
    due_at,
    due_floating,
    due_on,
)

MAX_TITLE = 500
MAX_DESCRIPTION = 10_000

DUE_INPUT_SCHEMA: dict[str, Any] = {
    "title": "DueInput",
    "description": (
        'When the task is due. A string is a date (`"2026-12-01"`) or an instant with an offset '
        '(`"2026-12-01T09:00:00Z"`). An object has exactly one of `date`, `at` (with `timezone`) or `local`.'
    ),
    "examples": ["2026-12-01", {"at": "2026-12-01T08:00:00Z", "timezone": "Europe/Berlin"}],
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["date"],
            "properties": {"date": {"type": "string", "format": "date"}},
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["at"],
            "properties": {
                "at": {"type": "string", "format": "date-time"},
                "timezone": {"type": "string", "description": "IANA zone; UTC when absent."},
            },
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["local"],
            "properties": {"local": {"type": "string"}, "timezone": {"type": "null"}},
        },
    ],
}

DATE_LENGTH = len("2026-12-01")
FIRST_YEAR, LAST_YEAR = 1970, 2100


def parse_due(value: Any) -> Any:
    """Read any of the forms of a due. Raises PydanticCustomError with a code of the error catalogue."""
    if value is None or isinstance(value, Due):
        return value
    if isinstance(value, str):
        return _due_from_text(value)
    if not isinstance(value, dict):
        raise PydanticCustomError("WRONG_TYPE", "A due is a date, an instant or an object.")
    forms = value.keys() & {"date", "at", "local"}
    if len(forms) != 1 or value.keys() - {"date", "at", "local", "timezone"}:
        raise PydanticCustomError("INVALID_DUE", "A due has exactly one of date, at and local.")
    return _due_from_object(value, forms.pop())


def _due_from_text(text: str) -> Due:
    return due_on(_date(text)) if len(text) == DATE_LENGTH else due_at(_instant(text), "UTC")


def _due_from_object(value: dict[str, Any], form: str) -> Due:
    zone = value.get("timezone")
    if form == "date" and zone is None:
        return due_on(_date(value["date"]))
    if form == "local" and zone is None:
        return due_floating(_wall_time(value["local"]))
    if form == "at":
        return due_at(_instant(value["at"]), _zone(zone))
    raise PydanticCustomError("INVALID_DUE", "Only an instant (at) has a timezone.")


def _date(text: Any) -> date:
    try:
        found = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise PydanticCustomError("INVALID_FORMAT", "A date looks like 2026-12-01.") from None
    _check_year(found.year)
    return found


def _wall_time(text: Any) -> datetime:
    found = _date_time(text)
    if found.tzinfo is not None:
        raise PydanticCustomError("INVALID_DUE", "A local time has no offset.")
    return found


def _instant(text: Any) -> datetime:
    found = _date_time(text)
    if found.tzinfo is None:
        raise PydanticCustomError("TIMEZONE_REQUIRED", "This instant needs an offset, such as Z.")
    return found


def _date_time(text: Any) -> datetime:
    try:
        day, clock = text.split("T")
        found = datetime.fromisoformat(f"{day}T{clock}")
    except (TypeError, ValueError, AttributeError):
        raise PydanticCustomError("INVALID_FORMAT", "An instant looks like 2026-12-01T09:00:00Z.") from None
    _check_year(found.year)
    return found.replace(microsecond=0)


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise PydanticCustomError("DATE_OUT_OF_RANGE", "Years run from 1970 to 2100.")


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: Any) -> str:
    if name is None:
        return "UTC"
    if not isinstance(name, str) or name not in _timezones():
        raise PydanticCustomError("INVALID_TIMEZONE", "A timezone is an IANA name such as Europe/Berlin.")
    return name


Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE)]
Description = Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)]
DueInput = Annotated[Due, BeforeValidator(parse_due), WithJsonSchema(DUE_INPUT_SCHEMA)]


def _not_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("NOT_NULLABLE", "This field can't be cleared.")
    return value


NotNull = BeforeValidator(_not_null)


def _without_default(schema: dict[str, Any]) -> None:
    """A patch has no defaults: what is absent stays as it is."""
    schema.pop("default", None)


class TaskCreate(BaseModel):
    """A new task. Only the title is needed; without a project it goes to the caller's Inbox."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "Buy milk"}, {"title": "Book the hall", "due": "2026-12-01"}]},
    )

    title: Title = Field(description="What is to be done, 1 to 500 characters.", examples=["Buy milk"])
    project_id: UUID | None = Field(default=None, description="Project; the caller's Inbox when absent.")
    description: Description | None = Field(default=None, description="More about it, up to 10,000 characters.")
    status: Status = "todo"
    priority: Priority = "none"
    due: DueInput | None = None


class TaskPatch(BaseModel):
    """A JSON merge patch (RFC 7396): absent keeps, null clears. `due` is replaced as a whole."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"status": "done"}, {"due": None}]})

    title: Annotated[Title, NotNull] = Field(default="", json_schema_extra=_without_default)
    description: Description | None = Field(default=None, json_schema_extra=_without_default)
    status: Annotated[Status, NotNull] = Field(default="todo", json_schema_extra=_without_default)
    priority: Annotated[Priority, NotNull] = Field(default="none", json_schema_extra=_without_default)
    due: DueInput | None = Field(default=None, json_schema_extra=_without_default)

    def given(self) -> dict[str, Any]:
        """Return the fields that the patch names, and only those."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class DueOut(BaseModel):
    """When a task is due. For `at`, `local` and `timezone` are what was meant and `at` is derived."""

    kind: Literal["date", "at", "local"]
    date: date | None
    at: datetime | None
    timezone: str | None
    local: str | None


class TaskOut(BaseModel):
    """A task."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    title: str
    description: str | None
    status: Status
    status_category: StatusCategory
    priority: Priority
    due: DueOut | None
    completed_at: datetime | None
    completed_by: UUID | None
    created_by: UUID
    version: int = Field(description="Raised by every change; the entity tag.")
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "TaskOut":
        """Make the resource of a row; rows come from our own tables and are not validated again."""
        return cls.model_construct(
            **{name: row[name] for name in COLUMNS_SHOWN},
            status_category=CATEGORY_OF_STATUS[row["status"]],
            due=_due_of(row),
        )


COLUMNS_SHOWN = tuple(name for name in TaskOut.model_fields if name not in ("status_category", "due"))


def _due_of(row: RowMapping) -> DueOut | None:
    if row["due_kind"] is None:
        return None
    local = row["due_local"]
    return DueOut.model_construct(
        kind=row["due_kind"],
        date=row["due_date"],
        at=row["due_at"],
        timezone=row["due_timezone"],
        local=None if local is None else local.isoformat(timespec="seconds"),
    )


class TaskPermissions(BaseModel):
    """What the caller may do with a task now, with the credential of this request."""

    can_edit: bool
    can_delete: bool
    can_assign: bool
    can_comment: bool


NOTHING_PERMITTED = TaskPermissions(can_edit=False, can_delete=False, can_assign=False, can_comment=False)


class TaskView(TaskOut):
    """A task as it is read."""

    permissions: TaskPermissions = Field(
        default=NOTHING_PERMITTED,
        description="Only with `include=permissions`.",
        json_schema_extra=_without_default,
    )

    @classmethod
    def permitted(cls, row: RowMapping, permissions: TaskPermissions) -> "TaskView":
        """Make the resource of a row with what its reader may do."""
        return cls.model_construct(**vars(TaskOut.of(row)), permissions=permissions)


class TaskLocation(BaseModel):
    """Where a task lives and what the caller may do there; for the other services."""

    task_id: UUID
    workspace_id: UUID
    project_id: UUID
    can_edit: bool = Field(description="By role; what an API token may do is the asking service's to check.")
    role: str


TASK_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "title": "Buy milk",
    "description": None,
    "status": "todo",
    "status_category": "todo",
    "priority": "none",
    "due": {"kind": "date", "date": "2026-12-01", "at": None, "timezone": None, "local": None},
    "completed_at": None,
    "completed_by": None,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
    "deleted_at": None,
}
