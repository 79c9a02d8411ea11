from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from fractional_indexing import FIError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.ordering.rules import rank_between
from tasks_service.tasks.rules import StatusCategory
from tasks_service.tasks.schemas import StatusKey

MAX_POSITION = 64


def _is_place(value: str) -> str:
    try:
        rank_between(value, None)
    except FIError:
        raise PydanticCustomError("INVALID_FORMAT", "This is no place in an order, such as a1V.") from None
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Place = Annotated[str, StringConstraints(pattern=rf"^[0-9A-Za-z]{{2,{MAX_POSITION}}}$"), AfterValidator(_is_place)]

KEY_SAYS = "What tasks have as their `status`: up to 16 small letters, digits and `_`."
CATEGORY_SAYS = "What it means, whatever it is called; what is `done` is completed."
PLACE_SAYS = "Sorts the statuses of the project, compared as bytes; new tasks get the first."


class StatusOut(BaseModel):
    """A status that tasks of a project may have."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    key: str = Field(description=KEY_SAYS)
    name: str
    category: StatusCategory = Field(description=CATEGORY_SAYS)
    position: str = Field(description=PLACE_SAYS)
    version: int = Field(description="Raised by every change; the entity tag.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "StatusOut":
        """Make the resource of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


READ_ONLY = frozenset(StatusOut.model_fields)


class StatusCreate(BaseModel):
    """A new status, the last one of its project unless it says where it goes."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "In review", "category": "in_progress"}]}
    )
    read_only_fields: ClassVar[frozenset[str]] = READ_ONLY

    name: Name = Field(description="1 to 100 characters.", examples=["In review"])
    category: StatusCategory = Field(description=CATEGORY_SAYS)
    key: StatusKey | None = Field(default=None, description=f"{KEY_SAYS} Made of the name when absent.")
    position: Place | None = Field(default=None, description=PLACE_SAYS)


class StatusPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent keeps. Tasks follow another key or category."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Review"}]})
    read_only_fields: ClassVar[frozenset[str]] = READ_ONLY

    name: Annotated[Name, NotNull] = Field(default="", json_schema_extra=without_default)
    category: Annotated[StatusCategory, NotNull] = Field(
        default="todo", description=CATEGORY_SAYS, json_schema_extra=without_default
    )
    key: Annotated[StatusKey, NotNull] = Field(default="", description=KEY_SAYS, json_schema_extra=without_default)
    position: Annotated[Place, NotNull] = Field(default="", description=PLACE_SAYS, json_schema_extra=without_default)


STATUS_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f06-7d22-8a4d-5b1e3c7f9a05",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "key": "in_review",
    "name": "In review",
    "category": "in_progress",
    "position": "a5",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
}
