"""What clients send, and what this service reads of the tasks service's answers, whatever else those carry."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from notifications_service.realtime.subscriptions import ME, Scope


def _is_true(value: object) -> object:
    if not value:
        raise PydanticCustomError("NOT_ALLOWED", "This is `true`, or not there.")
    return value


Name = Annotated[str, Field(min_length=1, max_length=64)]


class _OfScope(BaseModel):
    """A message that names a scope by one of its members."""

    model_config = ConfigDict(extra="forbid")

    id: Name | None = None
    workspace: UUID | None = None
    project: UUID | None = None
    task: UUID | None = None
    me: Annotated[StrictBool, AfterValidator(_is_true)] | None = None

    @property
    def scopes(self) -> list[Scope]:
        """Return all that is named."""
        found: list[Scope] = [ME] if self.me else []
        if self.workspace is not None:
            found.append(Scope("workspace", self.workspace))
        if self.project is not None:
            found.append(Scope("project", self.project))
        if self.task is not None:
            found.append(Scope("task", self.task))
        return found


class Subscribe(_OfScope):
    type: Literal["subscribe"]
    filter: str | dict[str, Any] | None = None
    tz: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.scopes) != 1:
            raise PydanticCustomError("ONE_SCOPE", "Name one of workspace, project, task and me.")
        return self


class Unsubscribe(_OfScope):
    type: Literal["unsubscribe"]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.id is not None) + len(self.scopes) != 1:
            raise PydanticCustomError("ONE_SCOPE", "Name an id, or one of workspace, project, task and me.")
        return self


class MembershipIn(BaseModel):
    workspace_id: UUID
    joined_seq: int


class MembershipsIn(BaseModel):
    memberships: list[MembershipIn]


class LocationIn(BaseModel):
    workspace_id: UUID
    project_id: UUID
