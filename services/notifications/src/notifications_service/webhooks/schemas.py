from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self, cast
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from notifications_service.event_patterns.rules import EVERYTHING
from notifications_service.fields import Label, Url
from notifications_service.webhooks.rules import DisabledReason, Payload, ScopeType

MAX_EVENTS = 100
MAX_PROJECTS = 100
MAX_FIELDS = 50


def _text_or_tree(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise PydanticCustomError("WRONG_TYPE", "A filter is text, or an object.")
    return value


WrittenFilter = Annotated[
    Any, BeforeValidator(_text_or_tree), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})
]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Events = Annotated[list[Pattern], Field(min_length=1, max_length=MAX_EVENTS)]
Projects = Annotated[list[UUID], Field(max_length=MAX_PROJECTS)]
Fields = Annotated[list[FieldName], Field(max_length=MAX_FIELDS)]

URL_SAYS = (
    "Where events are sent by POST: https, on the public internet. It is looked up anew for each of them, and "
    "redirects are not followed."
)
EVENTS_SAY = "Names of events, all of a kind such as `task.*`, or `*` for everything."
PROJECTS_SAY = "Only what is in these projects; empty for all within the scope."
FIELDS_SAY = "Only events that change one of these fields of what they are about, such as `status`; empty for all."
FILTER_SAYS = (
    "Only what is of tasks that match, as JSON or as text, as in `GET /api/v1/tasks?filter=`. A change by which a task "
    "ceases to match is sent, too."
)
PAYLOAD_SAYS = "`thin` leaves out what the event says of the resource and its changes: fetch it when you need it."


class ScopeIn(BaseModel):
    """What a webhook is for."""

    model_config = ConfigDict(extra="forbid")

    type: ScopeType = Field(description="A workspace, a project, or all that you see.")
    id: UUID | None = Field(default=None, description="Of the workspace or project; of `user` it is you.")


class ScopeOut(BaseModel):
    """What a webhook is for."""

    type: ScopeType
    id: UUID


class WebhookCreate(BaseModel):
    """A new webhook."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "url": "https://hooks.example.com/taskloom",
                    "name": "Board sync",
                    "scope": {"type": "workspace", "id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"},
                    "events": ["task.*", "comment.created"],
                    "changed_fields": ["status"],
                },
                {"url": "https://hooks.example.com/mine", "scope": {"type": "user"}, "payload": "thin"},
            ]
        },
    )

    url: Url = Field(description=URL_SAYS, examples=["https://hooks.example.com/taskloom"])
    name: Label = Field(default="Webhook", description="1 to 100 characters, for people.")
    scope: ScopeIn
    events: Events = Field(default=[EVERYTHING], description=EVENTS_SAY)
    project_ids: Projects = Field(default=[], description=PROJECTS_SAY)
    changed_fields: Fields = Field(default=[], description=FIELDS_SAY)
    filter: WrittenFilter | None = Field(default=None, description=FILTER_SAYS)
    payload: Payload = Field(default="full", description=PAYLOAD_SAYS)
    enabled: bool = Field(default=True, strict=True, description="Whether anything is sent.")


class LastDeliveryOut(BaseModel):
    """The youngest delivery of a webhook."""

    id: UUID
    event: str
    state: str
    status: int | None
    created_at: datetime


class WebhookOut(BaseModel):
    """A webhook."""

    id: UUID
    url: str
    name: str
    scope: ScopeOut
    events: list[str]
    project_ids: list[UUID]
    changed_fields: list[str]
    filter: dict[str, Any] | None
    payload: Payload
    enabled: bool
    disabled_reason: DisabledReason | None = Field(
        description="`gone` where the receiver answered 410, `failing` after 5 days of nothing but failures."
    )
    failing_since: datetime | None = Field(description="When the first failure was that no success has followed.")
    secret_overlap_until: datetime | None = Field(description="Until when the secret before the last rotation signs.")
    owner_id: UUID = Field(description="Who made it: it is sent what that user sees.")
    version: int
    created_at: datetime
    updated_at: datetime
    last_delivery: LastDeliveryOut | None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Make the resource of a row that has its youngest delivery, as far as there is one."""
        made = ("scope", "secret_overlap_until", "last_delivery", "secret")
        shown = {name: row[name] for name in cls.model_fields if name not in made}
        return cast("Self", cls.model_construct(**shown, **_made(row)))


class WebhookSecretOut(WebhookOut):
    """A webhook with its new secret."""

    secret: str | None = Field(
        description="What signatures are made with. Told once: null where the answer to a request is repeated."
    )

    @classmethod
    def with_secret(cls, row: Mapping[Any, Any], secret: str | None) -> "WebhookSecretOut":
        """Make the resource of a row, with a secret that is told now or not at all."""
        shown = WebhookOut.of(row)
        return cls.model_construct(**dict(shown), secret=secret)


class WebhookPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent keeps, null clears; lists and the filter are replaced as a whole."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"enabled": False}, {"events": ["task.*"], "filter": None}]}
    )
    settable: ClassVar[frozenset[str]] = frozenset(
        {"url", "name", "events", "project_ids", "changed_fields", "filter", "payload", "enabled"}
    )
    read_only_fields: ClassVar[frozenset[str]] = frozenset(WebhookOut.model_fields) - settable

    url: Annotated[Url, NotNull] = Field(default="", description=URL_SAYS, json_schema_extra=without_default)
    name: Annotated[Label, NotNull] = Field(default="", json_schema_extra=without_default)
    events: Annotated[Events, NotNull] = Field(default=[], description=EVENTS_SAY, json_schema_extra=without_default)
    project_ids: Annotated[Projects, NotNull] = Field(
        default=[], description=PROJECTS_SAY, json_schema_extra=without_default
    )
    changed_fields: Annotated[Fields, NotNull] = Field(
        default=[], description=FIELDS_SAY, json_schema_extra=without_default
    )
    filter: WrittenFilter | None = Field(default=None, description=FILTER_SAYS, json_schema_extra=without_default)
    payload: Annotated[Payload, NotNull] = Field(
        default="full", description=PAYLOAD_SAYS, json_schema_extra=without_default
    )
    enabled: Annotated[bool, NotNull] = Field(default=True, strict=True, json_schema_extra=without_default)


class WebhookResource(BaseModel):
    """What an event says of a webhook."""

    id: UUID
    name: str
    scope: ScopeOut
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    owner_id: UUID
    version: int

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Make the resource of a row."""
        shown = {name: row[name] for name in cls.model_fields if name != "scope"}
        return cast("Self", cls.model_construct(**shown, scope=_scope(row)))


def _scope(row: Mapping[Any, Any]) -> ScopeOut:
    return ScopeOut.model_construct(type=row["scope_type"], id=row["scope_id"])


def _made(row: Mapping[Any, Any]) -> dict[str, Any]:
    last = row.get("last_id")
    delivery = None if last is None else {name: row[f"last_{name}"] for name in LastDeliveryOut.model_fields}
    return {
        "scope": _scope(row),
        "secret_overlap_until": row["old_secret_until"],
        "last_delivery": None if delivery is None else LastDeliveryOut.model_construct(**delivery),
    }


WEBHOOK_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7c10-7d3d-9a11-5b1e3c7f9a61",
    "url": "https://hooks.example.com/taskloom",
    "name": "Board sync",
    "scope": {"type": "workspace", "id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"},
    "events": ["task.*", "comment.created"],
    "project_ids": [],
    "changed_fields": ["status"],
    "filter": None,
    "payload": "full",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "secret_overlap_until": None,
    "owner_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
    "last_delivery": None,
}
SECRET_EXAMPLE: dict[str, Any] = {**WEBHOOK_EXAMPLE, "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
RESOURCE_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7c10-7d3d-9a11-5b1e3c7f9a61",
    "name": "Board sync",
    "scope": {"type": "workspace", "id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"},
    "enabled": False,
    "disabled_reason": "failing",
    "failing_since": "2026-11-19T09:00:00Z",
    "owner_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 2,
}
