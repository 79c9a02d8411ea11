from collections.abc import Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import orjson
from chassis.dates import Day
from chassis.patching import MergePatch, NotNull, without_default
from chassis.web.constructing import WrittenJson, as_json, construct
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticUndefined
from sqlalchemy import RowMapping

from tasks_service.assignees.rules import with_primary
from tasks_service.assignees.schemas import AssigneeOut, UserIds
from tasks_service.dues.schemas import DueInput, DueOut, due_of
from tasks_service.labels.schemas import LabelIds, TaskLabel
from tasks_service.permissions.rules import ProjectRole
from tasks_service.tasks.rules import Priority, StatusCategory

MAX_TITLE = 500
MAX_DESCRIPTION = 10_000
MAX_CUSTOM_BYTES = 8 * 1024
MAX_ESTIMATE_MINUTES = 1_000_000


def is_small_enough(custom: Mapping[str, Any]) -> bool:
    """Tell whether values of somebody's own can be kept with a task."""
    return len(orjson.dumps(custom)) <= MAX_CUSTOM_BYTES


def _small_enough(value: dict[str, Any]) -> dict[str, Any]:
    if not is_small_enough(value):
        raise PydanticCustomError("TOO_LONG", "This has at most 8 KiB as JSON.")
    return value


def _with_primary_first(assignees: list[UUID], assigned_to: UUID | None) -> list[UUID]:
    if assigned_to is None:
        return assignees
    if assigned_to not in assignees:
        raise PydanticCustomError("PRIMARY_NOT_ASSIGNED", "`assigned_to` is one of `assignees`.")
    return with_primary(assignees, assigned_to)


Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE)]
Description = Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)]
StatusKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,16}$")]
Estimate = Annotated[StrictInt, Field(ge=0, le=MAX_ESTIMATE_MINUTES)]
CompletionPolicy = Annotated[str, StringConstraints(pattern=r"^(any|all|quorum:([1-9]|1[0-9]|20))$")]
Custom = Annotated[dict[str, Any], AfterValidator(_small_enough)]
ExternalSource = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
ExternalId = Annotated[str, StringConstraints(pattern=r"^[^/\x00]{1,255}$")]


class TaskFields(BaseModel):
    """What a client may say of a task."""

    model_config = ConfigDict(extra="forbid")
    read_only_fields: ClassVar[frozenset[str]] = frozenset()

    description: Description | None = Field(
        default=None, description="More about it, in Markdown (CommonMark), up to 10,000 characters."
    )
    priority: Priority = "none"
    category_id: UUID | None = Field(
        default=None, description="A category of its workspace, or of your own on a task of your personal workspace."
    )
    parent_id: UUID | None = Field(
        default=None, description="The task of its project that it is a subtask of, up to five levels deep."
    )
    labels: LabelIds = Field(default_factory=list, description="Labels of its workspace, up to 50; in no order.")
    start: Day | None = Field(default=None, description="The day on which work on it begins.")
    due: DueInput | None = None
    deadline: Day | None = Field(default=None, description="The last day that is acceptable.")
    estimate_minutes: Estimate | None = Field(default=None, description="How long it takes, in minutes.")
    completion_policy: CompletionPolicy = Field(
        default="any",
        description="Whose work completes it: `any` assignee's, `all` assignees', or `quorum:<n>` of them, up to 20.",
    )
    reopen_on_assign: StrictBool = Field(
        default=False, description="Whether another assignee opens a task with the policy `all` again."
    )
    custom: Custom = Field(default_factory=dict, description="Values of your own, up to 8 KiB as JSON.")
    assignees: UserIds = Field(
        default_factory=list, description="Who is to do it: up to 20 users who can see it, the primary one first."
    )
    assigned_to: UUID | None = Field(
        default=None, description="The primary one of the assignees; short for `assignees` where it is the only one."
    )

    @model_validator(mode="after")
    def _agrees_on_assignees(self) -> Self:
        given = self.model_fields_set & {"assigned_to", "assignees"}
        if not given:
            return self
        if "assigned_to" in given and "assignees" not in given:
            self.assignees = [] if self.assigned_to is None else [self.assigned_to]
        else:
            self.assignees = _with_primary_first(self.assignees, self.assigned_to)
        self.assigned_to = self.assignees[0] if self.assignees else None
        return self


class TaskUpsert(TaskFields):
    """A task of another system, as it is there: only the title is needed, and what is absent is left as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "Buy milk"}, {"title": "Book the hall", "due": "2026-12-01"}]},
    )

    title: Title = Field(description="What is to be done, 1 to 500 characters.", examples=["Buy milk"])
    project_id: UUID | None = Field(default=None, description="Project; if absent, that of `parent_id`, or the Inbox.")
    status: StatusKey | None = Field(default=None, description="Key of a status of the project; its first when absent.")

    def given(self) -> dict[str, Any]:
        """Return the fields of the task that the body names; a status that is null names none."""
        named = self.model_fields_set - {"project_id"} - (set() if self.status else {"status"})
        return {name: getattr(self, name) for name in named}


class TaskCreate(TaskUpsert):
    """A new task. Only the title is needed; without a project and a parent it goes to the caller's Inbox."""

    external_source: ExternalSource | None = Field(
        default=None, description="The system that it comes from; with `external_id`, unique in the project."
    )
    external_id: ExternalId | None = Field(default=None, description="Its id in that system, without a slash.")

    @model_validator(mode="after")
    def _comes_from_somewhere_or_not(self) -> Self:
        if (self.external_source is None) != (self.external_id is None):
            raise PydanticCustomError("EXTERNAL_ID_INCOMPLETE", "Give external_source and external_id, or neither.")
        return self


class TaskPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent keeps, null clears, within `custom`, too. `due` is replaced as a whole."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"status": "done"}, {"due": None}]})
    read_only_fields: ClassVar[frozenset[str]] = frozenset()

    title: Annotated[Title, NotNull] = Field(default="", json_schema_extra=without_default)
    description: Description | None = Field(default=None, json_schema_extra=without_default)
    status: Annotated[StatusKey, NotNull] = Field(default="", json_schema_extra=without_default)
    priority: Annotated[Priority, NotNull] = Field(default="none", json_schema_extra=without_default)
    category_id: UUID | None = Field(default=None, json_schema_extra=without_default)
    parent_id: UUID | None = Field(default=None, json_schema_extra=without_default)
    labels: Annotated[LabelIds, NotNull] = Field(default_factory=list, json_schema_extra=without_default)
    start: Day | None = Field(default=None, json_schema_extra=without_default)
    due: DueInput | None = Field(default=None, json_schema_extra=without_default)
    deadline: Day | None = Field(default=None, json_schema_extra=without_default)
    estimate_minutes: Estimate | None = Field(default=None, json_schema_extra=without_default)
    completion_policy: Annotated[CompletionPolicy, NotNull] = Field(default="any", json_schema_extra=without_default)
    reopen_on_assign: Annotated[StrictBool, NotNull] = Field(default=False, json_schema_extra=without_default)
    custom: Custom | None = Field(
        default=None,
        description="What is to change of it, at all levels: null takes a value away, and as a whole all of them.",
        json_schema_extra=without_default,
    )
    assignees: Annotated[UserIds, NotNull] = Field(default_factory=list, json_schema_extra=without_default)
    assigned_to: UUID | None = Field(
        default=None,
        description="Without `assignees` it makes this one the primary one, who is added if need be; null is nobody.",
        json_schema_extra=without_default,
    )

    @model_validator(mode="after")
    def _agrees_on_assignees(self) -> Self:
        if {"assignees", "assigned_to"} <= self.model_fields_set:
            self.assignees = _with_primary_first(self.assignees, self.assigned_to)
        return self


class Progress(BaseModel):
    """How many of a task's own subtasks there are, without cancelled ones, and how many of them are done."""

    done: int
    total: int


class TaskOut(BaseModel):
    """A task."""

    id: UUID
    key: str = Field(description="What people call it: the prefix of its project and its number there.")
    workspace_id: UUID
    project_id: UUID
    title: str
    description: str | None
    status: str = Field(description="Key of a status of its project.")
    status_category: StatusCategory
    priority: Priority
    category_id: UUID | None
    labels: list[UUID] = Field(description="Ids of the shared labels on it.")
    parent_id: UUID | None
    progress: Progress
    assigned_to: UUID | None = Field(description="The primary one of the assignees.")
    assignees: list[UUID] = Field(description="Users, the primary one first.")
    completion_policy: str
    reopen_on_assign: bool
    start: date | None
    due: DueOut | None
    deadline: date | None
    estimate_minutes: int | None
    completed_at: datetime | None
    completed_by: UUID | None
    position: str = Field(description="Sorts the tasks of a project, compared as bytes.")
    external_source: str | None
    external_id: str | None
    custom: dict[str, Any]
    created_by: UUID
    version: int = Field(description="Raised by every change; the entity tag.")
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "TaskOut":
        """Make the resource of a row; rows come from our own tables and are not validated again."""
        made = _values(row)
        made["progress"] = construct(Progress, made["progress"])
        return construct(cls, made)


SHOWN = tuple(TaskOut.model_fields)
OTHER_COLUMNS = {"progress": "subtasks_done", "start": "start_date", "due": "due_kind"}
COLUMNS = itemgetter(*(OTHER_COLUMNS.get(name, name) for name in SHOWN))


def written_tasks(rows: Sequence[RowMapping]) -> WrittenJson:
    """Write rows as lists of TaskOut are written, without making these: what nearly all lists are."""
    return as_json([_values(row) for row in rows])


def written_task(row: RowMapping) -> WrittenJson:
    """Write a row as its TaskOut is written."""
    return as_json(_values(row))


def _values(row: RowMapping) -> dict[str, Any]:
    """Return what a row has for each field of a TaskOut, in their order."""
    values = dict(zip(SHOWN, COLUMNS(row), strict=True))
    values["progress"] = {"done": row["subtasks_done"], "total": row["subtasks_total"]}
    if values["due"] is not None:
        values["due"] = due_of(row)
    return values


class TaskPermissions(BaseModel):
    """What the caller may do with a task now, with the credential of this request."""

    can_edit: bool
    can_delete: bool
    can_assign: bool
    can_comment: bool


NOTHING_PERMITTED = TaskPermissions(can_edit=False, can_delete=False, can_assign=False, can_comment=False)
NOT_ASKED_FOR: list[TaskLabel] = []
NO_DETAILS: list[AssigneeOut] = []
# No text has this character.
NOT_RENDERED = "\0"
NOT_COUNTED = -1
NO_PROGRESS = Progress(done=0, total=0)


class TaskView(TaskOut):
    """A task as it is read."""

    permissions: TaskPermissions = Field(
        default=NOTHING_PERMITTED,
        description="Only with `include=permissions`.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is NOTHING_PERMITTED,
    )
    label_details: list[TaskLabel] = Field(
        default=NOT_ASKED_FOR,
        description="Only with `include=labels`: the labels on it, your own among them.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is NOT_ASKED_FOR,
    )
    assignee_details: list[AssigneeOut] = Field(
        default=NO_DETAILS,
        description="Only with `include=assignees`: what is said of its assignees, the primary one first.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is NO_DETAILS,
    )
    description_html: str | None = Field(
        default=NOT_RENDERED,
        description="Only with `include=html`: the description as sanitized HTML, which may go into a page as it is.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value == NOT_RENDERED,
    )
    comments_count: int = Field(
        default=NOT_COUNTED,
        description="Only with `include=comments_count`: comments and replies, without deleted ones.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value == NOT_COUNTED,
    )
    checklist_progress: Progress = Field(
        default=NO_PROGRESS,
        description="Only with `include=checklist_progress`: how many items there are, and how many of them are done.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is NO_PROGRESS,
    )
    is_starred: bool | None = Field(
        default=None,
        description="Only with `include=starred`: whether you have given it a star.",
        json_schema_extra=without_default,
        exclude_if=lambda value: value is None,
    )

    @classmethod
    def with_more(cls, row: RowMapping, more: Mapping[str, Any]) -> "TaskView":
        """Make the resource of a row with what its reader asks for, by the field that has it."""
        return construct(cls, {**vars(TaskOut.of(row)), **NOTHING_MORE, **more})


NOTHING_MORE = {
    name: field.default for name, field in TaskView.model_fields.items() if name not in TaskOut.model_fields
}


class TaskLocation(BaseModel):
    """Where a task lives and what the caller may do there; for the other services."""

    task_id: UUID
    workspace_id: UUID
    project_id: UUID
    can_edit: bool = Field(description="By role; what an API token may do is the asking service's to check.")
    role: ProjectRole
    is_archived: bool = Field(description="Whether the project takes no changes.")


TASK_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "key": "INBOX-12",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "title": "Buy milk",
    "description": None,
    "status": "todo",
    "status_category": "todo",
    "priority": "none",
    "category_id": None,
    "labels": [],
    "parent_id": None,
    "progress": {"done": 0, "total": 0},
    "assigned_to": None,
    "assignees": [],
    "completion_policy": "any",
    "reopen_on_assign": False,
    "start": None,
    "due": {"kind": "date", "date": "2026-12-01", "at": None, "timezone": None, "local": None},
    "deadline": None,
    "estimate_minutes": None,
    "completed_at": None,
    "completed_by": None,
    "position": "n0000000012V",
    "external_source": None,
    "external_id": None,
    "custom": {},
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
    "deleted_at": None,
}
LOCATION_EXAMPLE: dict[str, Any] = {
    "task_id": TASK_EXAMPLE["id"],
    "workspace_id": TASK_EXAMPLE["workspace_id"],
    "project_id": TASK_EXAMPLE["project_id"],
    "can_edit": True,
    "role": "editor",
    "is_archived": False,
}
REPLACEMENT_EXAMPLE = {name: TASK_EXAMPLE[name] for name in TaskPatch.model_fields} | {"due": "2026-12-01"}


class TaskReplacement(TaskPatch):
    """All that a client may say of a task that is there: the fields of the patch, and each of them is needed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=lambda schema: schema.update(examples=[REPLACEMENT_EXAMPLE])
    )


for _field in TaskReplacement.model_fields.values():
    _field.default, _field.default_factory = PydanticUndefined, None
TaskReplacement.model_rebuild(force=True)

for _input in (TaskCreate, TaskUpsert, TaskPatch, TaskReplacement):
    _input.read_only_fields = frozenset(TaskOut.model_fields) - frozenset(_input.model_fields)
