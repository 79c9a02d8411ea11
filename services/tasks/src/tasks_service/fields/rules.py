"""How the fields that tasks are filtered by are shown: each with an example that says most about it."""

from typing import Any

from chassis.filtering.documents import document_of
from chassis.filtering.fields import Field
from chassis.filtering.text import parse_text
from chassis.filtering.tree import OF_LISTS, Operator

from tasks_service.listing.filters import FIELDS, METADATA

ENDLESS = "meta.app.path"
"""One of the fields of which there is no end."""


def example_operator(field: Field) -> Operator:
    """Return the operator that is shown with a field."""
    if field.several:
        return "has_any"
    if field.type == "text":
        return "contains"
    if field.type in ("day", "instant", "due"):
        return "<"
    return ">=" if field.ranks else "="


def example_text(field: Field) -> str:
    """Return a filter by a field, as text."""
    operator = example_operator(field)
    name = ENDLESS if field is METADATA else field.name
    value = f"({field.example})" if operator in OF_LISTS else field.example
    return f"{name} {operator} {value}"


def example_json(field: Field) -> dict[str, Any]:
    """Return the same filter as JSON."""
    return document_of(parse_text(example_text(field)), FIELDS)
