from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.cursors import MAX_CURSOR_CHARACTERS
from pydantic import BaseModel, ConfigDict, Field, StrictInt
from sqlalchemy import RowMapping

from tasks_service.categories.schemas import CategoryOut
from tasks_service.comments.schemas import CommentResource
from tasks_service.labels.schemas import LabelOut
from tasks_service.projects.schemas import PROJECT_EXAMPLE, ProjectOut
from tasks_service.snapshots.rules import KINDS, MAX_ITEMS, USUAL, Kind
from tasks_service.statuses.schemas import StatusOut
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.workspaces.schemas import MemberResource, WorkspaceResource

MAX_PAGE_CHARACTERS = MAX_CURSOR_CHARACTERS + 1024
"""A page names the position of the first one, too."""


class SnapshotRequest(BaseModel):
    """What the snapshot is to have."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"types": ["project", "task"]}]})

    workspace_id: UUID | None = Field(default=None, description="Only what is in this workspace.")
    project_id: UUID | None = Field(default=None, description="Only this project, with what is in it.")
    types: list[Kind] | None = Field(
        default=None,
        min_length=1,
        max_length=len(KINDS),
        description="Only these types of resources; all but comments when absent.",
    )
    cursor: str | None = Field(
        default=None, max_length=MAX_PAGE_CHARACTERS, description="The `next_page` of the page before."
    )
    limit: StrictInt = Field(default=200, ge=1, le=MAX_ITEMS, description="How many resources at most.")

    def kinds(self) -> tuple[Kind, ...]:
        """Return what is asked for, in the order in which it comes."""
        return tuple(kind for kind in KINDS if kind in (self.types or USUAL))


class SnapshotItem(BaseModel):
    """A resource as it is now."""

    type: Kind
    data: dict[str, Any] = Field(description="As the `data` of an event that is about it.")


class SnapshotPage(BaseModel):
    """A part of a snapshot."""

    items: list[SnapshotItem]
    next_page: str | None = Field(description="The `cursor` of the request for the next page; null at the end.")
    cursor: str = Field(
        description="The position before the first page, the same on each: from it, `GET /changes` goes on."
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a snapshot is to have."""

    kinds: Sequence[Kind]
    workspace_id: UUID | None
    project_id: UUID | None
    limit: int

    def fingerprint(self) -> bytes:
        """Return what tells this snapshot from others."""
        return repr((self.kinds, self.workspace_id, self.project_id)).encode()


def _workspace(row: RowMapping) -> BaseModel:
    return WorkspaceResource.of(row)


def _member(row: RowMapping) -> BaseModel:
    return MemberResource.model_validate(dict(row))


SHOWN_AS: Mapping[Kind, Callable[[RowMapping], BaseModel]] = {
    "workspace": _workspace,
    "member": _member,
    "project": ProjectOut.of,
    "status": StatusOut.of,
    "category": CategoryOut.of,
    "label": LabelOut.of,
    "task": TaskOut.of,
    "comment": CommentResource.in_event,
}
SNAPSHOT_EXAMPLE: dict[str, Any] = {
    "items": [{"type": "project", "data": PROJECT_EXAMPLE}, {"type": "task", "data": TASK_EXAMPLE}],
    "next_page": None,
    "cursor": "AZnTsm8AfBGbXg9vap0sAQAAAAAAAAAHq0pxZ1a9",
}
