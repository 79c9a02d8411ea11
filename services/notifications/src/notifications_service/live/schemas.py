"""What this service reads of others' events; whatever else they carry is ignored."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel


class FieldChange(BaseModel):
    field: str
    old: Any = None
    new: Any = None


class ChangeData(BaseModel):
    """The data of any event of the tasks service's change log."""

    entity_type: str
    entity_id: UUID
    workspace_id: UUID
    project_id: UUID | None = None
    task_id: UUID | None = None
    version: int
    actor: dict[str, Any] | None = None
    changes: list[FieldChange]
    audience: list[UUID]
    lost_by: list[UUID] | None = None
    request_id: str | None = None
    resource: dict[str, Any] | None = None


class MemberData(BaseModel):
    """The resource of member.* events."""

    workspace_id: UUID
    user_id: UUID
    role: str
    joined_seq: int


class ProjectData(BaseModel):
    """The resource of project.* events; before projects could be private, they did not say so."""

    id: UUID
    visibility: str = "workspace"


class ProjectMemberData(BaseModel):
    """The resource of project_member.* events."""

    project_id: UUID
    user_id: UUID


class TaskShareData(BaseModel):
    """The resource of task_share.* events."""

    task_id: UUID
    user_id: UUID
