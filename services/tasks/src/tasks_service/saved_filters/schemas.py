from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self, cast
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tasks_service.fields.schemas import WrittenFilter
from tasks_service.names.schemas import Name
from tasks_service.saved_filters.rules import Scope

WRITTEN = "As JSON, or as text, which is kept as its JSON. `me` and relative dates stay as they are."
Description = Annotated[str, StringConstraints(max_length=2_000)]
ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
SORT_SAYS = "As `sort=` of a list, such as `-priority,due`; counts where a list names no other."
WORDS_SAY = "As `q=` of a list: what to search for; counts where a list searches for nothing else."
TREE_EXAMPLE: dict[str, Any] = {
    "and": [
        {"field": "assignees", "op": "=", "value": "me"},
        {"field": "due", "op": "<", "value": "today()+7d"},
    ]
}


class FilterCreate(BaseModel):
    """A new saved filter."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Mine this week", "filter": "assignee = me and due < today()+7d", "sort": "due"},
                {"name": "Doors", "scope": "shared", "filter": TREE_EXAMPLE, "q": "door"},
            ]
        },
    )

    workspace_id: UUID | None = Field(default=None, description="Where it is kept; your personal one when absent.")
    name: Name = Field(
        description="1 to 100 characters; unique among your own, or among the shared ones, whatever the case.",
        examples=["Mine this week"],
    )
    description: Description | None = Field(default=None, description="What it is for, up to 2,000 characters.")
    scope: Scope = Field(default="personal", description="`shared` with the members of the workspace, or yours alone.")
    filter: WrittenFilter | None = Field(default=None, description=WRITTEN)
    sort: ShortText | None = Field(default=None, description=SORT_SAYS, examples=["-priority,due"])
    q: ShortText | None = Field(default=None, description=WORDS_SAY, examples=["door"])


class FilterOut(BaseModel):
    """A saved filter."""

    id: UUID
    workspace_id: UUID = Field(description="Where it is kept; it applies to tasks everywhere unless it says otherwise.")
    owner_id: UUID = Field(description="Who made it.")
    name: str
    description: str | None
    scope: Scope = Field(description="`shared` with the members of the workspace, or its owner's alone.")
    filter: dict[str, Any] | None = Field(
        description="As JSON; `me` is who uses it, and relative dates are resolved when that happens."
    )
    sort: str | None = Field(description="In what order lists are with it, unless they name another.")
    q: str | None = Field(description="What lists search for with it, unless they search for something else.")
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Make the resource of a row."""
        shown = {name: row[name] for name in cls.model_fields if name not in {"owner_id", "scope"}}
        scope: Scope = "shared" if row["owner_id"] is None else "personal"
        return cast("Self", cls.model_construct(**shown, owner_id=row["created_by"], scope=scope))


class FilterPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent keeps, null clears. A filter is replaced as a whole."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Mine", "sort": None}, {"scope": "shared"}]}
    )
    settable: ClassVar[frozenset[str]] = frozenset({"name", "description", "scope", "filter", "sort", "q"})
    read_only_fields: ClassVar[frozenset[str]] = frozenset(FilterOut.model_fields) - settable

    name: Annotated[Name, NotNull] = Field(default="", json_schema_extra=without_default)
    description: Description | None = Field(default=None, json_schema_extra=without_default)
    scope: Annotated[Scope, NotNull] = Field(default="personal", json_schema_extra=without_default)
    filter: WrittenFilter | None = Field(default=None, description=WRITTEN, json_schema_extra=without_default)
    sort: ShortText | None = Field(default=None, description=SORT_SAYS, json_schema_extra=without_default)
    q: ShortText | None = Field(default=None, description=WORDS_SAY, json_schema_extra=without_default)


FILTER_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7a90-7c3d-9a11-5b1e3c7f9a51",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "owner_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "name": "Mine this week",
    "description": None,
    "scope": "personal",
    "filter": TREE_EXAMPLE,
    "sort": "due",
    "q": None,
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
}
