from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from tasks_service.searching.rules import rank_of
from tasks_service.searching.schemas import HIGHLIGHT_EXAMPLE, Highlight
from tasks_service.searching.service import Shown
from tasks_service.tasks.rules import Priority, StatusCategory

Type = Literal["task", "project", "comment", "user"]
TYPES: tuple[Type, ...] = ("task", "project", "comment", "user")
Rank = Field(ge=0, le=1, description="How well it fits, from 0 to 1: comparable within one of the lists.")


class NameHighlight(BaseModel):
    """Where the words are in a name."""

    field: Literal["name", "prefix"]
    text: str = Field(description="The name as HTML: escaped, and the match between `<mark>` and `</mark>`.")


class TaskFound(BaseModel):
    """A task that was found; all of it is at /api/v1/tasks/{id}."""

    id: UUID
    key: str
    workspace_id: UUID
    project_id: UUID
    title: str
    status: str
    status_category: StatusCategory
    priority: Priority
    is_archived: bool = Field(description="Whether its project is archived.")
    rank: float = Rank
    highlights: list[Highlight]

    @classmethod
    def of(cls, row: RowMapping, shown: Shown) -> "TaskFound":
        """Return a task with what fits in it."""
        own: dict[str, Any] = {name: row[name] for name in cls.model_fields if name not in {"rank", "highlights"}}
        return cls(**own, rank=rank_of(row["rank"]), highlights=list(shown.highlights))


class ProjectFound(BaseModel):
    """A project that was found."""

    id: UUID
    workspace_id: UUID
    name: str
    prefix: str
    archived_at: datetime | None
    rank: float = Rank
    highlights: list[NameHighlight]


class CommentFound(BaseModel):
    """A comment that was found."""

    id: UUID
    task_id: UUID
    task_key: str
    task_title: str
    workspace_id: UUID
    author_id: UUID
    created_at: datetime
    rank: float = Rank
    highlights: list[Highlight]


class UserFound(BaseModel):
    """Somebody whose name was found."""

    id: UUID
    name: str
    avatar_url: str | None
    kind: Literal["human", "service"]
    rank: float = Rank
    highlights: list[NameHighlight]


class Found(BaseModel):
    """What was found, by type, the best first; types that were not asked for are empty."""

    tasks: list[TaskFound]
    projects: list[ProjectFound]
    comments: list[CommentFound]
    users: list[UserFound]


def names_of(parts: Mapping[Literal["name", "prefix"], str | None]) -> Sequence[NameHighlight]:
    """Return what is marked."""
    return [NameHighlight(field=field, text=text) for field, text in parts.items() if text is not None]


_TASK = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"
_WORKSPACE = "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"
_USER = "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"
FOUND_EXAMPLE: dict[str, Any] = {
    "tasks": [
        {
            "id": _TASK,
            "key": "SHOP-12",
            "workspace_id": _WORKSPACE,
            "project_id": "0199d3b2-7000-7d22-8a4f-3c5b7e9f1a02",
            "title": "Buy milk & bread",
            "status": "todo",
            "status_category": "todo",
            "priority": "none",
            "is_archived": False,
            "rank": 0.5,
            "highlights": [HIGHLIGHT_EXAMPLE],
        }
    ],
    "projects": [
        {
            "id": "0199d3b2-7000-7d22-8a4f-3c5b7e9f1a02",
            "workspace_id": _WORKSPACE,
            "name": "Milk round",
            "prefix": "MILK",
            "archived_at": None,
            "rank": 1.0,
            "highlights": [
                {"field": "name", "text": "<mark>Milk</mark> round"},
                {"field": "prefix", "text": "<mark>MILK</mark>"},
            ],
        }
    ],
    "comments": [
        {
            "id": "0199d3b2-9a00-7f0e-8f3a-1d1f6c0f5a55",
            "task_id": _TASK,
            "task_key": "SHOP-12",
            "task_title": "Buy milk & bread",
            "workspace_id": _WORKSPACE,
            "author_id": _USER,
            "created_at": "2026-11-24T09:05:00Z",
            "rank": 0.25,
            "highlights": [
                {
                    "field": "comment",
                    "id": "0199d3b2-9a00-7f0e-8f3a-1d1f6c0f5a55",
                    "text": "Is there any <mark>milk</mark> left?",
                }
            ],
        }
    ],
    "users": [
        {
            "id": _USER,
            "name": "Ada Milk",
            "avatar_url": None,
            "kind": "human",
            "rank": 0.8,
            "highlights": [{"field": "name", "text": "Ada <mark>Milk</mark>"}],
        }
    ],
}
