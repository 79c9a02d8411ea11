"""What this service reads of others' events and answers; whatever else they carry is ignored."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel


class TaskData(BaseModel):
    """The data of task.* events."""

    entity_id: UUID
    workspace_id: UUID
    project_id: UUID | None = None


class MemberData(BaseModel):
    """The resource of member.* events."""

    workspace_id: UUID
    user_id: UUID
    role: str


class MemberChange(BaseModel):
    resource: MemberData


class Located(BaseModel):
    """The answer of the tasks service's internal API."""

    task_id: UUID
    workspace_id: UUID
    can_edit: bool
    role: str | None = None


@dataclass(frozen=True, slots=True)
class TaskAccess:
    """A task that the caller may see, and what the caller may do with its files."""

    task_id: UUID
    workspace_id: UUID
    can_edit: bool
    can_manage: bool
