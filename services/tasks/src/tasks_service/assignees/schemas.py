from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.assignees.rules import MAX_ASSIGNEES, State
from tasks_service.changes.schemas import derived_id

EXAMPLE_USER_ID = "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"


def _once(user_ids: list[UUID]) -> list[UUID]:
    if len(set(user_ids)) < len(user_ids):
        raise PydanticCustomError("REPEATED_ENTRY", "Each entry may be given only once.")
    return user_ids


UserIds = Annotated[list[UUID], Field(max_length=MAX_ASSIGNEES), AfterValidator(_once)]


class AssigneesPut(BaseModel):
    """Who is to do a task; nobody else is then."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_ids": [EXAMPLE_USER_ID]}]})

    user_ids: UserIds = Field(description="Up to 20 users, the primary one first; `[]` for nobody.")


class AssigneeAdd(BaseModel):
    """One more who is to do a task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_id": EXAMPLE_USER_ID}]})

    user_id: UUID


class AssigneePatch(BaseModel):
    """What an assignee says of the task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"state": "done"}]})

    state: State = Field(description="`pending`, `done` or `declined`.")


class AssigneeResource(BaseModel):
    """Somebody who is to do a task, as events show it."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    task_id: UUID
    user_id: UUID
    state: State = Field(description="What the assignee has said of the task.")
    since: datetime
    is_primary: bool


class AssigneeOut(AssigneeResource):
    """Somebody who is to do a task."""

    name: str | None = Field(description="`Deleted user` of somebody who is gone; null until it is known.")

    @classmethod
    def of(cls, row: RowMapping, task: RowMapping) -> "AssigneeOut":
        """Make the resource of a row and that of its task."""
        return cls.model_construct(**resource_of(row, task), name=row["name"])


def resource_of(row: RowMapping, task: RowMapping) -> dict[str, Any]:
    """Return what there is to say of an assignee of a task."""
    return {
        "id": derived_id("assignee", task["id"], row["user_id"]),
        "workspace_id": task["workspace_id"],
        "project_id": task["project_id"],
        "task_id": task["id"],
        "user_id": row["user_id"],
        "state": row["state"],
        "since": row["assigned_at"],
        "is_primary": row["user_id"] == task["assigned_to"],
    }


def in_order(rows: Sequence[RowMapping], task: RowMapping) -> list[AssigneeOut]:
    """Return the assignees of a task, the primary one first."""
    by_user = {row["user_id"]: row for row in rows}
    return [AssigneeOut.of(by_user[one], task) for one in task["assignees"] if one in by_user]


ASSIGNEE_EXAMPLE: dict[str, Any] = {
    "id": "0d0ee6b2-2d6d-5d2c-9d7e-0f2b4a8b1c03",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "user_id": EXAMPLE_USER_ID,
    "state": "pending",
    "since": "2026-11-24T09:00:00Z",
    "is_primary": True,
}
ASSIGNEE_OUT_EXAMPLE = {**ASSIGNEE_EXAMPLE, "name": "Ada"}
