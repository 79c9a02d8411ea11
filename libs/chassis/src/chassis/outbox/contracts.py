"""What a producer promises of its events: a JSON Schema and an example of each, for the other side's tests."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

EXAMPLE_EVENT_ID = "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1"
EXAMPLE_USER_ID = "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"
EXAMPLE_REQUEST_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"
EXAMPLE_TIME = "2026-11-24T09:00:00.000000Z"
EXAMPLE_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

STRING: dict[str, Any] = {"type": "string"}
UUID_TEXT: dict[str, Any] = {"type": "string", "format": "uuid"}
ACTOR: dict[str, Any] = {
    "description": "Who acted, and through what; null for what a service does of its own accord.",
    "type": ["object", "null"],
    "required": ["type", "id", "via"],
    "properties": {
        "type": {"enum": ["user", "service_account"]},
        "id": UUID_TEXT,
        "via": {"enum": ["session", "token", "bot"]},
        "token_id": {**UUID_TEXT, "description": "The API token, where it was one."},
    },
}
LOST_BY: dict[str, Any] = {
    "description": "Who saw it before and does not any more: they are told that it is gone, and nothing else.",
    "type": "array",
    "items": UUID_TEXT,
}
QUIET: dict[str, Any] = {
    "description": "Whether nobody is to be notified of it, as of what an import brings.",
    "type": "boolean",
}


ResourceModel = type[BaseModel]


def optional_types(contracts: Iterable["EventContract"]) -> frozenset[str]:
    """Return the types that may go to nobody."""
    return frozenset(contract.type for contract in contracts if contract.optional)


@dataclass(frozen=True, slots=True)
class EventContract:
    """One type of event: what it tells, the model of its resource, and an example of that resource.

    `stream` names the field of the resource whose id is the event's stream; events of one stream arrive in
    the order of their `sequence`. `optional` events are facts that may interest nobody: they are published without
    asking whether a queue is bound for them. The others wait for their first consumer.

    `channels` name where users get it, in the public shape (chassis.outbox.catalogue); without any it is between
    services alone. `reserved` is the name of something that nobody sends yet: consumers know it before it comes.
    `changed` is what the example shows as its `changes`, and `since` the release that had it first.
    """

    type: str
    source: str
    entity_type: str
    description: str
    resource: ResourceModel
    example: dict[str, Any]
    stream: str = "id"
    optional: bool = False
    channels: tuple[str, ...] = ()
    reserved: bool = False
    changed: tuple[dict[str, Any], ...] = ()
    since: str = "0.1.0"

    @property
    def name(self) -> str:
        """Return the type as users know it, without the version of its schema."""
        return self.type.rpartition(".")[0]

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the whole CloudEvent."""
        resource = self.resource.model_json_schema(mode="serialization")
        definitions = resource.pop("$defs", {})
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.type,
            "description": self.description,
            "type": "object",
            "required": ["specversion", "id", "source", "type", "subject", "time", "partitionkey", "sequence", "data"],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": UUID_TEXT,
                "source": {"const": self.source},
                "type": {"const": self.type},
                "subject": UUID_TEXT,
                "time": {"type": "string", "format": "date-time"},
                "datacontenttype": {"const": "application/json"},
                "partitionkey": UUID_TEXT,
                "sequence": {"type": "integer", "minimum": 1},
                "traceparent": STRING,
                "data": self._data_schema(resource),
            },
            "$defs": definitions,
        }

    def example_event(self) -> dict[str, Any]:
        """Return an example of the whole CloudEvent."""
        return {
            "specversion": "1.0",
            "id": EXAMPLE_EVENT_ID,
            "source": self.source,
            "type": self.type,
            "subject": self.example["id"],
            "time": EXAMPLE_TIME,
            "datacontenttype": "application/json",
            "partitionkey": self.example[self.stream],
            "sequence": 7,
            "traceparent": EXAMPLE_TRACEPARENT,
            "data": {
                "entity_type": self.entity_type,
                "entity_id": self.example["id"],
                "version": self.example.get("version", 1),
                "actor": {"type": "user", "id": EXAMPLE_USER_ID, "via": "session"},
                "changes": list(self.changed),
                "audience": [EXAMPLE_USER_ID],
                "request_id": EXAMPLE_REQUEST_ID,
                "workspace_id": self.example.get("workspace_id", self.example["id"]),
                "project_id": self.example.get("project_id"),
                "task_id": self.example["id"] if self.entity_type == "task" else self.example.get("task_id"),
                "resource": self.example,
            },
        }

    def _data_schema(self, resource: dict[str, Any]) -> dict[str, Any]:
        change = {"type": "object", "required": ["field", "old", "new"], "properties": {"field": STRING}}
        return {
            "type": "object",
            "required": [
                "entity_type",
                "entity_id",
                "version",
                "actor",
                "changes",
                "audience",
                "request_id",
                "resource",
            ],
            "properties": {
                "entity_type": {"const": self.entity_type},
                "entity_id": UUID_TEXT,
                "version": {"type": "integer", "minimum": 1},
                "actor": ACTOR,
                "changes": {"type": "array", "items": change},
                "audience": {"type": "array", "items": UUID_TEXT},
                "lost_by": LOST_BY,
                "quiet": QUIET,
                "request_id": STRING,
                "workspace_id": UUID_TEXT,
                "project_id": {"type": ["string", "null"]},
                "task_id": {"type": ["string", "null"]},
                "resource": resource,
            },
        }
