"""What this service reads of others' events; whatever else they carry is ignored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from chassis.ids import uuid7
from pydantic import AfterValidator, BaseModel

OF_A_CHANGE = {"field", "old", "new"}
"""What is said of every change of a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalEvent:
    """An event that one user alone is told (live.service.tell_user).

    `type` is the wire type, such as `notification.created.v1`, and `resource` is what the event's `data` is. Where the
    event is about something in a workspace it says so by `workspace_id`, `project_id` and `task_id`: who does not see
    these any more gets no replay of it, and a restricted API token gets what is within its restriction.
    """

    type: str
    entity_type: str
    subject: UUID
    resource: dict[str, Any] | None
    version: int = 1
    changes: Sequence[dict[str, Any]] = ()
    actor: dict[str, Any] | None = None
    workspace_id: UUID | None = None
    project_id: UUID | None = None
    task_id: UUID | None = None
    event_id: UUID = field(default_factory=uuid7)


def _whole(change: dict[str, Any]) -> dict[str, Any]:
    if change.keys() >= OF_A_CHANGE:
        return change
    if "field" not in change:
        raise ValueError("a change is of a field")
    return {**dict.fromkeys(OF_A_CHANGE), **change}


class ChangeData(BaseModel):
    """The data of any event of the tasks service's change log; its changes are passed on as they are."""

    entity_type: str
    entity_id: UUID
    workspace_id: UUID
    project_id: UUID | None = None
    task_id: UUID | None = None
    version: int
    actor: dict[str, Any] | None = None
    changes: list[Annotated[dict[str, Any], AfterValidator(_whole)]]
    audience: list[UUID]
    lost_by: list[UUID] | None = None
    quiet: bool = False
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
    role: str | None = None


class TaskShareData(BaseModel):
    """The resource of task_share.* events."""

    task_id: UUID
    user_id: UUID
