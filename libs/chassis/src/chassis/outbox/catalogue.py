"""What a service says of its events to who explains them to users, and the one shape in which users get them."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from chassis.outbox.contracts import (
    ACTOR,
    EXAMPLE_EVENT_ID,
    EXAMPLE_REQUEST_ID,
    EXAMPLE_TIME,
    EXAMPLE_USER_ID,
    STRING,
    UUID_TEXT,
    EventContract,
)

REFERENCE = "#/components/schemas/{model}"
EXAMPLE_CURSOR = "c1.eyJ3IjpbWyIwMTk5ZDNiMiIsN11dfQ.Zk3v9"
ID_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "format": "uuid"}
CHANGE: dict[str, Any] = {
    "type": "object",
    "required": ["field", "old", "new"],
    "properties": {"field": STRING, "old": {}, "new": {}},
}
REMOVED: dict[str, Any] = {
    "description": "Only where something is gone for the reader. With `access_lost` there are no `data` and `changes`.",
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": {"enum": ["deleted", "purged", "access_lost"]}},
}
FIELDS: dict[str, Any] = {
    "seq": {"type": "integer", "minimum": 1, "description": "Its place among the events of its workspace, or user."},
    "cursor": {"type": "string", "description": "The reader's position right after it; opaque."},
    "event_id": {**UUID_TEXT, "description": "The same wherever it is told."},
    "type": STRING,
    "workspace_id": {**ID_OR_NULL, "description": "Null for what concerns one user alone."},
    "project_id": ID_OR_NULL,
    "task_id": ID_OR_NULL,
    "subject": {**UUID_TEXT, "description": "The id of the resource that it is about."},
    "version": {"type": "integer", "minimum": 1, "description": "The version of the resource after it."},
    "changes": {"type": "array", "items": CHANGE},
    "actor": ACTOR,
    "data": {},
    "occurred_at": {"type": "string", "format": "date-time"},
    "origin_request_id": {"type": ["string", "null"], "description": "The `X-Request-ID` of what caused it."},
}
"""The members of an event as users get it."""


def removal(name: str) -> dict[str, Any]:
    """Return the member of the public shape by which an event of this name says that its subject is gone, if it is."""
    reason = {"deleted": "deleted", "purged": "purged"}.get(name.partition(".")[2])
    return {} if reason is None else {"removed": {"reason": reason}}


def catalogue(contracts: Iterable[EventContract]) -> dict[str, Any]:
    """Return what a service has to say of the events that users get; schemas that several share are told once."""
    events = tuple(event for event in contracts if event.channels)
    models = dict.fromkeys(event.resource for event in events)
    references, definitions = models_json_schema([(model, "serialization") for model in models], ref_template=REFERENCE)
    return {
        "events": [_entry(event, references[(event.resource, "serialization")]) for event in events],
        "components": {"schemas": definitions.get("$defs", {})},
    }


def _entry(event: EventContract, resource: dict[str, Any]) -> dict[str, Any]:
    noun, _, verb = event.name.partition(".")
    return {
        "type": event.name,
        "noun": noun,
        "verb": verb,
        "schema_version": int(event.type.rpartition(".v")[2]),
        "description": event.description,
        "channels": list(event.channels),
        "reserved": event.reserved,
        "since": event.since,
        "example": public_example(event),
        "resource": resource,
    }


def public_schema(name: str, description: str, resource: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of an event as users get it: in the feed, on streams, and in the body of a webhook."""
    return {
        "title": name,
        "description": description,
        "type": "object",
        "required": list(FIELDS),
        "properties": {
            **FIELDS,
            "type": {"const": name},
            "data": {
                "description": "The resource as it was right after; null where the reader has no access any more.",
                "anyOf": [resource, {"type": "null"}],
            },
            "removed": REMOVED,
        },
    }


def public_example(event: EventContract) -> dict[str, Any]:
    """Return an example of an event as users get it."""
    data = event.example_event()["data"]
    of_workspace = event.example[event.stream] == data["workspace_id"]
    return {
        "seq": 7,
        "cursor": EXAMPLE_CURSOR,
        "event_id": EXAMPLE_EVENT_ID,
        "type": event.name,
        "workspace_id": data["workspace_id"] if of_workspace else None,
        "project_id": data["project_id"],
        "task_id": data["task_id"],
        "subject": data["entity_id"],
        "version": data["version"],
        "changes": data["changes"],
        "actor": {"type": "user", "id": EXAMPLE_USER_ID, "via": "session"},
        "data": data["resource"],
        "occurred_at": EXAMPLE_TIME,
        "origin_request_id": EXAMPLE_REQUEST_ID,
        **removal(event.name),
    }
