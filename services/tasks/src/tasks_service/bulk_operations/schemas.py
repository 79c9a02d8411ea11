from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from chassis.patching import without_default
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, StrictInt, StringConstraints

from tasks_service.assignees.rules import MAX_ASSIGNEES
from tasks_service.assignees.schemas import EXAMPLE_USER_ID, UserIds
from tasks_service.bulk_operations.rules import NAME_PATTERN, TEMP_ID_PATTERN, Named, is_temp_id
from tasks_service.moving.schemas import StatusMap
from tasks_service.permissions.rules import Action
from tasks_service.tasks.schemas import TaskCreate, TaskPatch

MAX_OPERATIONS = 10_000
MAX_DEPENDENCIES = 50
MAX_VERSION = 2**31 - 1

TaskName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
TempId = Annotated[str, StringConstraints(pattern=TEMP_ID_PATTERN)]
Index = Annotated[StrictInt, Field(ge=0, lt=MAX_OPERATIONS)]
NAMING = "Its id, its key, or the `temp_id` of an operation before this one."
PARENT = "The task that it is a subtask of: an id, a key, or the `temp_id` of an operation before this one."


class BulkTaskCreate(TaskCreate):
    """A new task, as `POST /tasks` takes it; its parent may be named by a key or a temporary id, too."""

    parent_id: TaskName | None = Field(default=None, description=PARENT)  # type: ignore[assignment] # made an id first


class BulkTaskPatch(TaskPatch):
    """A merge patch, as `PATCH /tasks/{id}` takes it; the parent may be named by a key or a temporary id, too."""

    parent_id: TaskName | None = Field(  # type: ignore[assignment] # made an id first
        default=None, description=PARENT, json_schema_extra=without_default
    )


class BulkOperation(BaseModel):
    """What each operation may say."""

    model_config = ConfigDict(extra="forbid")
    action: ClassVar[Action]
    body: ClassVar[str | None] = None

    depends_on: list[Index] = Field(
        default_factory=list,
        max_length=MAX_DEPENDENCIES,
        description="Indexes, from 0, of operations before this one; when one of them fails, so does this one (424).",
    )

    def named(self) -> Named:
        """Return what this names of the other operations."""
        return Named(None, {}, self.depends_on)


class OnTask(BulkOperation):
    """An operation on a task that is there."""

    id: TaskName = Field(description=NAMING)
    if_version: Annotated[StrictInt, Field(ge=1, le=MAX_VERSION)] | None = Field(
        default=None, description="The version that this is for, as `If-Match` says it; another one is a conflict, 412."
    )

    def named(self) -> Named:
        """Return what this names of the other operations."""
        return Named(None, {"id": self.id} if is_temp_id(self.id) else {}, self.depends_on)


class BulkCreate(BulkOperation):
    """Make a task: `POST /tasks`."""

    action = "project.create_task"
    body = "data"

    op: Literal["create"]
    data: BulkTaskCreate
    temp_id: TempId | None = Field(
        default=None, description="What operations after this one may call the task; up to 31 letters, digits and `_`."
    )

    def named(self) -> Named:
        """Return what this names of the other operations."""
        return Named(self.temp_id, _parent(self.data.parent_id, "data"), self.depends_on)


class BulkUpdate(OnTask):
    """Change a task: `PATCH /tasks/{id}`."""

    action = "task.edit"
    body = "patch"

    op: Literal["update"]
    patch: BulkTaskPatch = Field(
        validation_alias=AliasChoices("patch", "data"), description="What is to change; `data` is taken for it, too."
    )

    def named(self) -> Named:
        """Return what this names of the other operations."""
        mine = super().named()
        return Named(None, {**mine.temp_ids, **_parent(self.patch.parent_id, "patch")}, self.depends_on)


class BulkDelete(OnTask):
    """Move a task to the trash, with all below it: `DELETE /tasks/{id}`."""

    action = "task.delete"

    op: Literal["delete"]


class BulkRestore(OnTask):
    """Take a task out of the trash: `POST /tasks/{id}/restore`."""

    action = "task.restore"

    op: Literal["restore"]


class BulkComplete(OnTask):
    """Give a task the first status of the category `done`, unless it has one of these."""

    action = "task.edit"

    op: Literal["complete"]


class BulkReopen(OnTask):
    """Give a task the first status of `todo`, `backlog` or `in_progress`, unless it has one of these."""

    action = "task.edit"

    op: Literal["reopen"]


class BulkMove(OnTask):
    """Move a task to another project: `POST /tasks/{id}/move`."""

    action = "task.move"

    op: Literal["move"]
    project_id: UUID = Field(description="The project that takes it, of the same workspace.")
    status_map: StatusMap = Field(
        default_factory=dict, description="Keys of statuses of its project, each with the one that tasks get for it."
    )


class BulkAssign(OnTask):
    """Add assignees to a task: `POST /tasks/{id}/assignees`, of several at once."""

    action = "task.assign"

    op: Literal["assign"]
    user_ids: UserIds = Field(
        min_length=1, description=f"Who is to do it beside those who are: up to {MAX_ASSIGNEES} in all."
    )


class BulkUnassign(OnTask):
    """Take assignees off a task: `DELETE /tasks/{id}/assignees/{user_id}`, of several at once."""

    action = "task.assign"

    op: Literal["unassign"]
    user_ids: UserIds = Field(min_length=1, description="Who is not to do it.")


class BulkAddLabel(OnTask):
    """Put a label on a task: `PUT /tasks/{id}/labels/{label_id}`."""

    action = "task.label"

    op: Literal["add_label"]
    label_id: UUID = Field(description="A label of its workspace, or one of your own.")


class BulkRemoveLabel(OnTask):
    """Take a label off a task: `DELETE /tasks/{id}/labels/{label_id}`."""

    action = "task.label"

    op: Literal["remove_label"]
    label_id: UUID = Field(description="A label of its workspace, or one of your own.")


AnyOperation = Annotated[
    BulkCreate
    | BulkUpdate
    | BulkDelete
    | BulkRestore
    | BulkComplete
    | BulkReopen
    | BulkMove
    | BulkAssign
    | BulkUnassign
    | BulkAddLabel
    | BulkRemoveLabel,
    Field(discriminator="op"),
]
OPS: Sequence[str] = (
    "create",
    "update",
    "delete",
    "restore",
    "complete",
    "reopen",
    "move",
    "assign",
    "unassign",
    "add_label",
    "remove_label",
)
MEANT_OPS: Mapping[str, str] = MappingProxyType(
    {
        "add": "create",
        "insert": "create",
        "new": "create",
        "change": "update",
        "edit": "update",
        "patch": "update",
        "remove": "delete",
        "trash": "delete",
        "undelete": "restore",
        "close": "complete",
        "done": "complete",
        "finish": "complete",
        "open": "reopen",
        "label": "add_label",
        "unlabel": "remove_label",
    }
)
"""What operations are called elsewhere."""
TASK_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"
OTHER_ID = "0199d3b2-7a54-7f0e-8f3a-1d1f6c0f5a13"
PROJECT_ID = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a07"
LABEL_ID = "0199d3b2-7b00-7a11-8c6f-2d7e4a8b1c05"
OPERATION_EXAMPLES: list[JsonValue] = [
    {"op": "create", "temp_id": "trip", "data": {"title": "Plan the trip"}},
    {"op": "create", "data": {"title": "Book the train", "parent_id": "trip"}},
    {"op": "update", "id": TASK_ID, "if_version": 3, "patch": {"priority": "high", "due": None}},
    {"op": "complete", "id": "ROAD-7"},
    {"op": "reopen", "id": "ROAD-8", "depends_on": [3]},
    {"op": "move", "id": TASK_ID, "project_id": PROJECT_ID, "status_map": {"review": "doing"}},
    {"op": "assign", "id": TASK_ID, "user_ids": [EXAMPLE_USER_ID]},
    {"op": "unassign", "id": OTHER_ID, "user_ids": [EXAMPLE_USER_ID]},
    {"op": "add_label", "id": TASK_ID, "label_id": LABEL_ID},
    {"op": "remove_label", "id": OTHER_ID, "label_id": LABEL_ID},
    {"op": "delete", "id": OTHER_ID},
    {"op": "restore", "id": OTHER_ID},
]


def _parent(name: str | None, body: str) -> dict[str, str]:
    return {f"{body}.parent_id": name} if name is not None and is_temp_id(name) else {}
