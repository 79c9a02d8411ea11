from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from chassis.db.base import table_of
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.labels.errors import LabelExists
from tasks_service.labels.models import Label
from tasks_service.names.schemas import NAMED_EXAMPLE, NamedCreate, NamedKind, NamedOut, NamedPatch

MAX_LABELS = 50

LabelIds = Annotated[list[UUID], Field(max_length=MAX_LABELS)]


class LabelCreate(NamedCreate):
    """A new label."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "urgent", "color": "#c62828"}, {"name": "later", "personal": True}]},
    )

    workspace_id: UUID | None = Field(
        default=None, description="The workspace whose tasks may have it; your personal one when absent."
    )
    personal: StrictBool = Field(
        default=False, description="Whether it is yours alone: for any task that you can see, and shown to nobody else."
    )

    @model_validator(mode="after")
    def _is_of_one_place(self) -> Self:
        if self.personal and self.workspace_id is not None:
            raise PydanticCustomError("PERSONAL_HAS_NO_WORKSPACE", "What is personal is of no workspace.")
        return self


class LabelPatch(NamedPatch):
    """A change of a label."""

    read_only_fields: ClassVar[frozenset[str]] = frozenset(NamedOut.model_fields) - {"name", "color"}


class LabelMerge(BaseModel):
    """The label that goes on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"into": "0199d3b2-7a60-7c3d-9a11-5b1e3c7f9a21"}]}
    )

    into: UUID = Field(description="Another label of the same workspace, or of your own for one of your own.")


class LabelOut(NamedOut):
    """A word that is put on tasks: any number a task."""


class TaskLabel(BaseModel):
    """A label on a task, of its workspace or of the reader's own."""

    id: UUID
    name: str
    color: str | None
    personal: bool

    @classmethod
    def of(cls, row: RowMapping) -> "TaskLabel":
        """Make the resource of a row."""
        return cls.model_construct(
            id=row["id"], name=row["name"], color=row["color"], personal=row["owner_id"] is not None
        )


class PersonalLabelResource(BaseModel):
    """A personal label on a task, as events show it; nobody but its owner is told."""

    id: UUID
    workspace_id: UUID = Field(description="The workspace of the task.")
    project_id: UUID
    task_id: UUID
    user_id: UUID
    label_id: UUID
    name: str
    color: str | None


def show_label(row: RowMapping) -> LabelOut:
    """Make the resource of a row."""
    return LabelOut.of(row)


LABEL = NamedKind(table_of(Label), "label", show_label, LabelExists, "workspace.create_label")
LABEL_EXAMPLE: dict[str, Any] = {**NAMED_EXAMPLE, "name": "urgent", "color": "#c62828"}
PERSONAL_LABEL_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7a61-8c3d-9a11-5b1e3c7f9a22",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "label_id": "0199d3b2-7a60-7c3d-9a11-5b1e3c7f9a21",
    "name": "later",
    "color": None,
}
