"""What categories and labels have in common: a name, a color, and a workspace or an owner."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self, cast
from uuid import UUID

from chassis.errors import Conflict
from chassis.patching import MergePatch, NotNull, without_default
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping, Table

from tasks_service.names.rules import name_key
from tasks_service.permissions.rules import Action

MAX_NAME = 100
MAX_NAME_KEY = 400


def _short_enough(value: str) -> str:
    # One character may be eighteen where names are compared.
    if len(name_key(value)) > MAX_NAME_KEY:
        raise PydanticCustomError("TOO_LONG", "This is longer than it may be.")
    return value


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
    AfterValidator(_short_enough),
]
Color = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$", to_lower=True)]


class NamedCreate(BaseModel):
    """Something new with a name."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Garden"}, {"name": "Balcony", "color": "#2e7d32"}]}
    )

    name: Name = Field(description="1 to 100 characters; unique where it is, whatever the case.", examples=["Garden"])
    color: Color | None = Field(default=None, description="As `#rrggbb`.", examples=["#2e7d32"])
    workspace_id: UUID | None = None


class NamedPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent keeps, null clears."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Balcony"}, {"color": None}]})

    name: Annotated[Name, NotNull] = Field(default="", json_schema_extra=without_default)
    color: Color | None = Field(default=None, json_schema_extra=without_default)

    def columns(self) -> dict[str, Any]:
        """Return the columns that the patch names, and only those."""
        given = self.given()
        return {**given, "name_key": name_key(self.name)} if "name" in given else given


class NamedOut(BaseModel):
    """Something with a name."""

    id: UUID
    workspace_id: UUID
    name: str
    color: str | None
    personal: bool = Field(description="Whether it is its maker's alone, and hidden from everybody else.")
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """Make the resource of a row."""
        shown = {name: row[name] for name in NamedOut.model_fields if name != "personal"}
        return cast("Self", cls.model_construct(**shown, personal=row["owner_id"] is not None))


@dataclass(frozen=True, slots=True)
class NamedKind:
    """A kind of things with a name: their table, what they are in events, and their refusal of a name in use."""

    table: Table
    entity_type: str
    show: Callable[[RowMapping], NamedOut]
    taken: type[Conflict]
    create: Action


NAMED_EXAMPLE: Mapping[str, Any] = {
    "id": "0199d3b2-7a60-7c3d-9a11-5b1e3c7f9a21",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "name": "Garden",
    "color": "#2e7d32",
    "personal": False,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
}
