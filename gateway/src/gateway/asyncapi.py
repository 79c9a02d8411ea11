"""The AsyncAPI 3.0 document of everything that is told as it happens: WebSocket, server-sent events, webhooks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from chassis.outbox.catalogue import public_schema

from gateway.live_messages import ANSWERS, FROM_CLIENTS, ON_STREAMS, TO_CLIENTS
from gateway.published import Document

HOOK = ".webhook"
BEARER = {"$ref": "#/components/securitySchemes/bearer"}
TICKET = {"$ref": "#/components/securitySchemes/ticket"}
QUERY: Document = {
    "type": "object",
    "properties": {
        "cursor": {"type": "string", "description": "Begin after this position, up to 30 days back."},
        "scopes": {
            "type": "string",
            "description": "What to get, joined by commas: `me`, `workspace:<id>`, `project:<id>`, `task:<id>`.",
        },
        "filter": {"type": "string", "description": "Which tasks' events to get, as in `GET /api/v1/tasks`."},
        "tz": {"type": "string", "description": "The IANA zone of the filter's days; that of the user without."},
        "ticket": {"type": "string", "description": "From `POST /api/v1/ws-tickets`, in place of `Authorization`."},
    },
}
ON_SOCKETS: Document = {
    "subscriptions": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Only on streams: the ids of the subscriptions that it came for.",
    },
    "left_filter": {
        "const": True,
        "description": "Only on streams: by this change the task does not fit the filter any more.",
    },
    "left_subscriptions": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Only on streams: the ids of those whose filter it does not fit any more, while it fits others.",
    },
}
SIGNED: Document = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {"type": "string", "description": "The event's id, the same on every try."},
        "webhook-timestamp": {"type": "string", "description": "When this try was made, in seconds since 1970."},
        "webhook-signature": {"type": "string", "description": "`v1,` and base64, of Standard Webhooks."},
    },
}
DESCRIPTION = (
    "What happens in Taskloom, as it happens. An event is the same object with the same `event_id` wherever it comes "
    "from; the feed `GET /api/v1/changes` has it, too. `x-channels` of a message says where it is told."
)


def asyncapi_document(entries: Sequence[Document], schemas: Mapping[str, Any], *, server: str) -> Document:
    """Return the document for the events of the catalogue; `server` is where clients reach the API."""
    on = {channel: [entry["type"] for entry in entries if channel in entry["channels"]] for channel in CHANNELS}
    to_clients = [one["name"] for one in TO_CLIENTS]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Taskloom events", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": _servers(server),
        "channels": {
            "websocket": {
                "address": "/api/v1/ws",
                "description": "Events and messages of a WebSocket, each a text frame with one JSON object.",
                "servers": [{"$ref": "#/servers/websocket"}],
                "messages": _named([*on["websocket"], *to_clients, *(one["name"] for one in FROM_CLIENTS)]),
                "bindings": {"ws": {"method": "GET", "query": QUERY}},
            },
            "sse": {
                "address": "/api/v1/stream",
                "description": "Server-sent events: `id` is the cursor, `event` the type, `data` the message.",
                "servers": [{"$ref": "#/servers/sse"}],
                "messages": _named([*on["sse"], *(name for name in to_clients if name in ON_STREAMS)]),
            },
            "webhook": {
                "address": "/",
                "description": "What is posted to the `url` of a webhook; its path is whatever that has.",
                "servers": [{"$ref": "#/servers/webhook"}],
                "messages": _named(f"{name}{HOOK}" for name in on["webhook"]),
                "bindings": {"http": {"bindingVersion": "0.3.0"}},
            },
        },
        "operations": _operations(on, to_clients),
        "components": {
            "schemas": {
                **schemas,
                **{entry["type"]: _payload(entry) for entry in entries},
            },
            "messages": {
                **{entry["type"]: _event(entry) for entry in entries},
                **{f"{entry['type']}{HOOK}": _posted(entry) for entry in entries if "webhook" in entry["channels"]},
                **{one["name"]: one for one in (*TO_CLIENTS, *FROM_CLIENTS)},
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API token."},
                "ticket": {"type": "httpApiKey", "name": "ticket", "in": "query"},
            },
        },
    }


CHANNELS = ("websocket", "sse", "webhook")


def _servers(server: str) -> Document:
    parts = urlsplit(server)
    secure = parts.scheme == "https"
    return {
        "websocket": {
            "host": parts.netloc,
            "protocol": "wss" if secure else "ws",
            "description": "The API, for WebSockets.",
            "security": [BEARER, TICKET],
        },
        "sse": {
            "host": parts.netloc,
            "protocol": "https" if secure else "http",
            "description": "The API, for server-sent events.",
            "security": [BEARER, TICKET],
        },
        "webhook": {
            "host": "{host}",
            "protocol": "https",
            "description": "Your server, at the `url` of a webhook.",
            "variables": {"host": {"description": "The host of the webhook's `url`.", "default": "example.com"}},
        },
    }


def _named(names: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _operations(on: Mapping[str, Sequence[str]], to_clients: Sequence[str]) -> Document:
    """Return what the API sends, and what it takes."""
    sent = {
        "websocket": [*on["websocket"], *(name for name in to_clients if name in ON_STREAMS)],
        "sse": [*on["sse"], *(name for name in to_clients if name in ON_STREAMS)],
        "webhook": [f"{name}{HOOK}" for name in on["webhook"]],
    }
    return {
        **{
            f"{channel}.events": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": "Tell what happened.",
                "messages": _of(channel, names),
            }
            for channel, names in sent.items()
        },
        **{
            name: {
                "action": "receive",
                "channel": {"$ref": "#/channels/websocket"},
                "messages": _of("websocket", [name]),
                "reply": {
                    "channel": {"$ref": "#/channels/websocket"},
                    "messages": _of("websocket", answers),
                },
            }
            for name, answers in ANSWERS.items()
        },
    }


def _of(channel: str, names: Iterable[str]) -> list[Document]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _payload(entry: Document) -> Document:
    schema = public_schema(entry["type"], entry["description"], entry["resource"])
    return {**schema, "properties": {**schema["properties"], **ON_SOCKETS}}


def _about(entry: Document) -> Document:
    reserved = {"x-reserved": True} if entry["reserved"] else {}
    return {"summary": entry["description"], "x-channels": entry["channels"], "x-since": entry["since"], **reserved}


def _event(entry: Document) -> Document:
    return {
        "name": entry["type"],
        "title": entry["type"],
        **_about(entry),
        "payload": {"$ref": f"#/components/schemas/{entry['type']}"},
        "examples": [{"payload": entry["example"]}],
    }


def _posted(entry: Document) -> Document:
    moment = {"type": "string", "format": "date-time"}
    return {
        "name": f"{entry['type']}{HOOK}",
        "title": entry["type"],
        **_about(entry),
        "headers": SIGNED,
        "payload": {
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"const": entry["type"]},
                "timestamp": moment,
                "data": {"$ref": f"#/components/schemas/{entry['type']}"},
            },
        },
        "examples": [
            {
                "payload": {
                    "type": entry["type"],
                    "timestamp": entry["example"]["occurred_at"],
                    "data": entry["example"],
                }
            }
        ],
    }
