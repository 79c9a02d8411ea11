"""What is told of events: the list of them, the schema of each, the AsyncAPI document, and a page for people."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from chassis.outbox.catalogue import public_schema

from gateway.asyncapi import asyncapi_document
from gateway.documents import without_collisions
from gateway.event_page import event_page
from gateway.published import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SHARED = "#/components/schemas/"
OWN = "#/$defs/"
REFERENCE = re.compile(rf'"{re.escape(SHARED)}([^"]+)"')


@dataclass(frozen=True, slots=True)
class EventDocuments:
    """All documents about the events of one state of the services."""

    events: tuple[Document, ...]
    """As `GET /api/v1/meta/events` has them."""
    schemas: Mapping[str, Document]
    """By type, each complete in itself."""
    asyncapi: Document
    page: str

    @classmethod
    def of(cls, registries: Mapping[str, Document], *, server: str) -> Self:
        """Merge what the services say of their events. What is between services alone is not among it."""
        entries, schemas = _merged(registries)
        return cls(
            events=tuple(_listed(entry, server) for entry in entries),
            schemas={entry["type"]: _complete(entry, schemas) for entry in entries},
            asyncapi=asyncapi_document(entries, schemas, server=server),
            page=event_page(entries),
        )


def _merged(registries: Mapping[str, Document]) -> tuple[list[Document], Document]:
    """Return the entries in the order of their types, and the schemas of their resources."""
    entries: list[Document] = []
    schemas: Document = {}
    for service in sorted(registries):
        registry = without_collisions(copy.deepcopy(registries[service]), schemas, service)
        entries += registry["events"]
        schemas.update(registry["components"]["schemas"])
    return sorted(entries, key=lambda entry: str(entry["type"])), schemas


def _listed(entry: Document, server: str) -> Document:
    shown = {name: value for name, value in entry.items() if name != "resource"}
    return {**shown, "schema_url": f"{server}/docs/events/{entry['type']}.json"}


def _complete(entry: Document, schemas: Mapping[str, Any]) -> Document:
    """Return the schema of an event with all that it refers to."""
    schema = public_schema(entry["type"], entry["description"], entry["resource"])
    needed = {name: schemas[name] for name in sorted(_referred(schema, schemas))}
    whole = {"$schema": DIALECT, **schema, "$defs": needed}
    complete: Document = json.loads(json.dumps(whole).replace(f'"{SHARED}', f'"{OWN}'))
    return complete


def _referred(schema: Any, schemas: Mapping[str, Any]) -> set[str]:
    """Return the names that a schema refers to, and those that these refer to."""
    found: set[str] = set()
    pending = list(_references(schema))
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(_references(schemas[name]))
    return found


def _references(schema: Any) -> Iterator[str]:
    yield from REFERENCE.findall(json.dumps(schema))
