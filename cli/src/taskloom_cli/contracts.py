"""What the services promise each other and the world: written from the code, and compared with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from attachments_service import main as attachments
from attachments_service.registry import EVENTS as ATTACHMENTS_EVENTS
from auth_service import main as auth
from auth_service.registry import EVENTS as AUTH_EVENTS
from chassis.outbox.catalogue import catalogue
from chassis.outbox.contracts import EventContract
from gateway.api import own_document
from gateway.documents import merge_documents
from gateway.event_documents import EventDocuments
from notifications_service import main as notifications
from notifications_service.registry import EVENTS as NOTIFICATIONS_EVENTS
from tasks_service import main as tasks
from tasks_service.registry import EVENTS as TASKS_EVENTS

ROOT = Path(__file__).parents[3] / "contracts"
SERVER = "http://127.0.0.1:8080"
EVENTS: dict[str, tuple[EventContract, ...]] = {
    "auth": AUTH_EVENTS,
    "tasks": TASKS_EVENTS,
    "notifications": NOTIFICATIONS_EVENTS,
    "attachments": ATTACHMENTS_EVENTS,
}


def files() -> Iterator[tuple[Path, bytes]]:
    """Yield every contract with its content."""
    documents: dict[str, Any] = {
        "auth": auth.openapi_document(),
        "tasks": tasks.openapi_document(),
        "notifications": notifications.openapi_document(),
        "attachments": attachments.openapi_document(),
    }
    for name, document in documents.items():
        # The catalogue holds what is loaded in one process; here it would mix all services.
        yield ROOT / "http" / f"{name}.openapi.json", _pretty({**document, "x-error-codes": []})
    public = merge_documents({**documents, "gateway": own_document()}, server=SERVER)
    yield ROOT / "http" / "public.openapi.json", _pretty(public)
    for producer, events in EVENTS.items():
        for event in events:
            folder = ROOT / "events" / producer
            yield folder / f"{event.type}.schema.json", _pretty(event.json_schema())
            yield folder / f"{event.type}.example.json", _pretty(event.example_event())
    yield from _public_events()


def _public_events() -> Iterator[tuple[Path, bytes]]:
    """Yield what users are told of events: the document, and the schema and example of each."""
    documents = EventDocuments.of({name: catalogue(events) for name, events in EVENTS.items()}, server=SERVER)
    yield ROOT / "events.asyncapi.json", _pretty(documents.asyncapi)
    for event in documents.events:
        folder = ROOT / "events" / "public"
        yield folder / f"{event['type']}.schema.json", _pretty(documents.schemas[event["type"]])
        yield folder / f"{event['type']}.example.json", _pretty(event["example"])


def write() -> None:
    """Write all contracts, and remove those of events that are no more."""
    wanted = dict(files())
    for path in _present() - wanted.keys():
        path.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def differing() -> list[Path]:
    """Return the contracts that are missing, different or left over."""
    wanted = dict(files())
    changed = [path for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    return sorted([*changed, *(_present() - wanted.keys())])


def _present() -> set[Path]:
    return {path for path in ROOT.rglob("*.json") if path.is_file()}


def _pretty(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
