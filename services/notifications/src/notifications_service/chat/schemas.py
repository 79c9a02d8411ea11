from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from notifications_service.chat.rules import EVENTS, ChatKind, ScopeType
from notifications_service.fields import Label, Url
from notifications_service.kinds import KINDS, Kind

MAX_KINDS = len(KINDS)
MAX_PATTERNS = 50


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Kinds = Annotated[list[Kind], Field(min_length=1, max_length=MAX_KINDS), AfterValidator(_unique)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=MAX_PATTERNS), AfterValidator(_unique)]
URL_SAYS = "The incoming webhook's URL. Who knows it can post there: it is kept sealed, and never shown."
KINDS_SAY = "Of one's own: only these kinds of notifications; null is all that your preferences send to chats."
EVENTS_SAY = (
    "Of a workspace or project: types of events, with wildcards as in `task.*`. Not given: tasks made, changed and "
    f"deleted, and comments. Those that there are: {', '.join(EVENTS)}."
)


class ScopeIn(BaseModel):
    """What a connection is for."""

    model_config = ConfigDict(extra="forbid")

    type: ScopeType = Field(description="Your own notifications, or the events of a workspace or project.")
    id: UUID | None = Field(default=None, description="Of the workspace or project; none for `user`.")

    @model_validator(mode="after")
    def _has_its_id(self) -> Self:
        if (self.id is None) != (self.type == "user"):
            raise PydanticCustomError("SCOPE_ID", "A workspace or project needs its id, and `user` has none.")
        return self


class ConnectionCreate(BaseModel):
    """A connection to a chat."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Team channel",
                    "kind": "slack",
                    "scope": {"type": "workspace", "id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"},
                    "url": "https://hooks.slack.example/services/T000/B000/XXXX",
                    "events": ["task.*", "comment.created"],
                },
                {
                    "name": "Just me",
                    "kind": "discord",
                    "scope": {"type": "user"},
                    "url": "https://discord.example/api/webhooks/1/XXXX",
                },
            ]
        },
    )

    name: Label = Field(default="Chat", description="By which people know it.")
    kind: ChatKind = Field(description='`generic` takes `{"text"}`, as many others do.')
    scope: ScopeIn
    url: Url = Field(description=URL_SAYS)
    kinds: Kinds | None = Field(default=None, description=KINDS_SAY)
    events: Patterns | None = Field(default=None, description=EVENTS_SAY)
    enabled: StrictBool = Field(default=True, description="Whether anything is posted.")

    @model_validator(mode="after")
    def _asks_for_its_own(self) -> Self:
        if (self.kinds if self.scope.type != "user" else self.events) is not None:
            raise PydanticCustomError(
                "KINDS_OR_EVENTS", "Your own connection has kinds, and one of a workspace or project events."
            )
        return self


class ConnectionPatch(MergePatch):
    """What of a connection can be changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Quiet channel", "events": ["task.created"]}]})

    name: Annotated[Label | None, NotNull] = Field(
        default=None, description="By which people know it.", json_schema_extra=without_default
    )
    url: Annotated[Url | None, NotNull] = Field(default=None, description=URL_SAYS, json_schema_extra=without_default)
    kinds: Kinds | None = Field(default=None, description=KINDS_SAY, json_schema_extra=without_default)
    events: Annotated[Patterns | None, NotNull] = Field(
        default=None, description=EVENTS_SAY, json_schema_extra=without_default
    )
    enabled: Annotated[StrictBool | None, NotNull] = Field(
        default=None,
        description="Whether anything is posted; true lets one try again that the chat has refused.",
        json_schema_extra=without_default,
    )


class ScopeOut(BaseModel):
    """What a connection is for."""

    type: ScopeType
    id: UUID | None


class ConnectionOut(BaseModel):
    """A connection to a chat. Its URL is never shown."""

    id: UUID
    name: str
    kind: ChatKind
    scope: ScopeOut
    workspace_id: UUID | None = Field(description="Where the scope is; null of one's own.")
    host: str = Field(description="Where the URL leads.")
    kinds: list[Kind] | None = Field(description=KINDS_SAY)
    events: list[str] | None = Field(description=EVENTS_SAY)
    enabled: bool
    disabled_reason: str | None = Field(
        description="`owner`: somebody turned it off. Else what the chat answered, such as `status_404`."
    )
    owner_id: UUID = Field(description="Who made it. One of a workspace or project tells what this user sees.")
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Return what is shown of a row."""
        scope_id = row["project_id"] if row["scope"] == "project" else row["workspace_id"]
        values = {name: row[name] for name in cls.model_fields if name != "scope"}
        return cls.model_validate({**values, "scope": {"type": row["scope"], "id": scope_id}})


class TestOut(BaseModel):
    """How a test went."""

    delivered: bool = Field(description="Whether the chat has taken the message.")
    reason: str | None = Field(description="Why it has not, such as `status_404`, `blocked` or `timeout`.")


CONNECTION_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-9c00-7e1f-8a2b-3c4d5e6f7a81",
    "name": "Team channel",
    "kind": "slack",
    "scope": {"type": "workspace", "id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"},
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "host": "hooks.slack.example",
    "kinds": None,
    "events": ["task.*", "comment.created"],
    "enabled": True,
    "disabled_reason": None,
    "owner_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
}
