"""What this service reads of others' events and answers; whatever else they carry is ignored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class TaskState(BaseModel):
    """The resource of task.* events."""

    deleted_at: datetime | None = None


class TaskData(BaseModel):
    """The data of task.* events."""

    entity_id: UUID
    workspace_id: UUID
    project_id: UUID | None = None
    resource: TaskState = TaskState()


class MemberData(BaseModel):
    """The resource of member.* events."""

    workspace_id: UUID
    user_id: UUID
    role: str
    joined_seq: int = 0


class MemberChange(BaseModel):
    resource: MemberData


class ProjectData(BaseModel):
    """The resource of project.* events; before projects could be private, they said nothing of that."""

    id: UUID
    workspace_id: UUID
    visibility: str = "workspace"
    member_role: str = "editor"
    archived_at: datetime | None = None
    deleted_at: datetime | None = None


class ProjectChange(BaseModel):
    resource: ProjectData


class ProjectMemberData(BaseModel):
    """The resource of project_member.* events."""

    project_id: UUID
    user_id: UUID
    role: str


class ProjectMemberChange(BaseModel):
    resource: ProjectMemberData


class TaskShareData(BaseModel):
    """The resource of task_share.* events."""

    task_id: UUID
    user_id: UUID
    role: str


class TaskShareChange(BaseModel):
    resource: TaskShareData


class Located(BaseModel):
    """The answer of the tasks service's internal API."""

    task_id: UUID
    workspace_id: UUID
    can_edit: bool
    role: str | None = None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class TaskAccess:
    """A task that the caller may see, and what the caller may do with its files."""

    task_id: UUID
    workspace_id: UUID
    can_edit: bool
    can_manage: bool
    is_archived: bool = False
    """Whether its project takes no changes."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has in a task: the role in the workspace, what the project gives, and what a share gives."""

    workspace_role: str
    is_private: bool
    member_role: str
    project_role: str | None
    share_role: str | None
