import re
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from chassis.db.base import table_of
from pydantic import Field
from sqlalchemy import RowMapping

from tasks_service.categories.errors import CategoryExists
from tasks_service.categories.models import Category
from tasks_service.names.schemas import NAMED_EXAMPLE, NamedCreate, NamedKind, NamedOut, NamedPatch

UUID_TEXT = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
PLAN = re.compile(rf"^(?:clear|move_to:({UUID_TEXT}))$")


class CategoryCreate(NamedCreate):
    """A new category: a workspace's, or without one your own, which nobody else sees."""

    workspace_id: UUID | None = Field(default=None, description="Its workspace; yours alone when absent.")


class CategoryPatch(NamedPatch):
    """A change of a category."""

    read_only_fields: ClassVar[frozenset[str]] = frozenset(NamedOut.model_fields) - {"name", "color"}


class CategoryOut(NamedOut):
    """What a task is about: each has one at most."""


@dataclass(frozen=True, slots=True)
class TasksPlan:
    """What becomes of the tasks of a category that is deleted: they get another, or none."""

    move_to: UUID | None = None

    @classmethod
    def parse(cls, text: str) -> "TasksPlan":
        """Read what matches PLAN."""
        found = PLAN.match(text)
        return cls(UUID(found[1]) if found and found[1] else None)


def show_category(row: RowMapping) -> CategoryOut:
    """Make the resource of a row."""
    return CategoryOut.of(row)


CATEGORY = NamedKind(table_of(Category), "category", show_category, CategoryExists, "workspace.create_category")
CATEGORY_EXAMPLE: dict[str, Any] = {**NAMED_EXAMPLE, "id": "0199d3b2-7a50-7c3d-9a11-5b1e3c7f9a11"}
