"""What readers and the stream say to each other beside events: the messages of ADR 18, with a schema and an example."""

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
UUID_TEXT: dict[str, Any] = {"type": "string", "format": "uuid"}
CURSOR: dict[str, Any] = {"type": "string", "description": "The reader's position; opaque."}
NAME: dict[str, Any] = {"type": "string", "maxLength": 64, "description": "What the client calls its subscription."}
ZONE: dict[str, Any] = {"type": "string", "description": "The IANA zone of a filter's days; that of the user without."}
MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}
PLACES: dict[str, Any] = {"workspace": UUID_TEXT, "project": UUID_TEXT, "task": UUID_TEXT, "me": {"const": True}}
LOST: dict[str, Any] = {"workspace_id": UUID_TEXT, "project_id": UUID_TEXT, "task_id": UUID_TEXT}
PROBLEMS: dict[str, Any] = {
    "description": "Everything that is wrong, as in the answers to requests.",
    "type": "array",
    "items": {
        "type": "object",
        "required": ["field", "code", "message"],
        "properties": {"field": {"type": ["string", "null"]}, "code": TEXT, "message": TEXT},
    },
}
ONE_PLACE = [{"required": [place]} for place in PLACES]
EXAMPLE_ID = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02"
EXAMPLE_CURSOR = "AZnTsm8BfSKKTVse..."

Message = dict[str, Any]


def message(
    name: str,
    summary: str,
    properties: dict[str, Any],
    *,
    required: tuple[str, ...] = (),
    example: dict[str, Any],
    **also: Any,
) -> Message:
    """Return a message as AsyncAPI has it; `also` is more of its schema."""
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "payload": {
            "type": "object",
            "required": ["type", *required],
            "properties": {"type": {"const": name}, **properties},
            **also,
        },
        "examples": [{"payload": {"type": name, **example}}],
    }


FROM_CLIENTS = (
    message(
        "subscribe",
        "Narrow what comes to a workspace, project or task, or to what concerns oneself; each adds to those before. "
        "A filter is a tree or a text, as of tasks.",
        {"id": NAME, **PLACES, "filter": {"type": ["object", "string"]}, "tz": ZONE},
        example={"id": "board", "project": EXAMPLE_ID, "filter": "priority = high"},
        oneOf=ONE_PLACE,
    ),
    message(
        "unsubscribe",
        "Take a subscription back, by its id or by what it was for.",
        {"id": NAME, **PLACES},
        example={"id": "board"},
        anyOf=[{"required": ["id"]}, *ONE_PLACE],
    ),
    message("ping", "Ask whether the other end is there.", {}, example={}),
    message(
        "refresh",
        "Hand in a new access token of the same user and session, so that the socket stays open with it.",
        {"access_token": TEXT},
        required=("access_token",),
        example={"access_token": "eyJhbGciOi..."},
    ),
)
TO_CLIENTS = (
    message(
        "ready",
        "The first message: all that comes after `cursor` follows.",
        {"cursor": CURSOR},
        required=("cursor",),
        example={"cursor": EXAMPLE_CURSOR},
    ),
    message(
        "subscribed",
        "A subscription holds from `cursor` on.",
        {"id": {"type": ["string", "null"]}, "cursor": CURSOR},
        required=("cursor",),
        example={"id": "board", "cursor": EXAMPLE_CURSOR},
    ),
    message(
        "unsubscribed",
        "A subscription is no more.",
        {"id": {"type": ["string", "null"]}},
        example={"id": "board"},
    ),
    message("pong", "The answer to a ping.", {}, example={}),
    message(
        "refreshed",
        "The new token is taken; it holds until then.",
        {"expires_at": MOMENT},
        required=("expires_at",),
        example={"expires_at": "2026-11-24T09:15:00Z"},
    ),
    message(
        "auth_expiring",
        "The token ends at that moment, and the connection with it (4401), unless a new one is handed in.",
        {"expires_at": MOMENT},
        required=("expires_at",),
        example={"expires_at": "2026-11-24T09:15:00Z"},
    ),
    message(
        "subscription_revoked",
        "The reader has no access to this any more: nothing more of it comes.",
        {"id": {"type": ["string", "null"]}, **LOST, "cursor": CURSOR},
        required=("cursor",),
        example={"project_id": EXAMPLE_ID, "cursor": EXAMPLE_CURSOR},
        oneOf=[{"required": [place]} for place in LOST],
    ),
    message(
        "resync_required",
        "The reader is too slow, and the connection is closed (1013): go on from `cursor`.",
        {"cursor": CURSOR},
        required=("cursor",),
        example={"cursor": EXAMPLE_CURSOR},
    ),
    message(
        "error",
        "A message of the client was not taken; the connection stays.",
        {"id": {"type": ["string", "null"]}, "code": TEXT, "message": TEXT, "errors": PROBLEMS},
        required=("code",),
        example={
            "id": "board",
            "code": "NOT_FOUND",
            "message": "There is nothing here that you can see.",
            "errors": [
                {"field": None, "code": "NOT_FOUND", "message": "There is nothing here that you can see."},
            ],
        },
    ),
)
ON_STREAMS = frozenset({"ready", "subscription_revoked", "resync_required", "auth_expiring"})
"""What comes on a stream of server-sent events, too, which takes no messages."""
ANSWERS = {
    "subscribe": ("subscribed", "error"),
    "unsubscribe": ("unsubscribed", "error"),
    "ping": ("pong",),
    "refresh": ("refreshed", "error"),
}
