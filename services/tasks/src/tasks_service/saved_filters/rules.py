"""Pure rules of saved filters."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.binding import bind
from chassis.filtering.documents import parse_document, parse_filter
from chassis.filtering.tree import OF_LISTS
from chassis.filtering.values import Context, value_of
from chassis.filtering.written import Condition, Negation, Written, WrittenValue

from tasks_service.listing.filters import FIELDS

Scope = Literal["personal", "shared"]
MAX_FILTERS = 200
"""That one user has in a workspace."""
TYPED = frozenset({"number", "boolean", "scalar"})
"""Types of which a value is not the word that it is written as."""


def kept(given: object, *, user_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the JSON of a filter that is text or JSON already, once it is known to mean something.

    Raises InvalidFilter, FilterTooComplex, InvalidInput.
    """
    # What is wrong with a filter is wrong in any zone.
    context = Context(user_id, ZoneInfo("UTC"), now)
    written = parse_filter(given)
    bind(written, FIELDS, context)
    document = as_document(written, context)
    # Text is shorter than its JSON, which is what counts when it is used.
    parse_document(document)
    return document


def as_document(written: Written, context: Context) -> dict[str, Any]:
    """Return a filter as JSON: what is written stays, `me` and relative dates too, and words are of their type."""
    if isinstance(written, Condition):
        return _condition(written, context)
    if isinstance(written, Negation):
        return {"not": as_document(written.node, context)}
    return {written.word: [as_document(node, context) for node in written.nodes]}


def _condition(condition: Condition, context: Context) -> dict[str, Any]:
    values = [_value(one, condition.field, context) for one in condition.values]
    found: dict[str, Any] = {"field": condition.field, "op": condition.operator}
    if condition.operator in OF_LISTS:
        return {**found, "value": values}
    return {**found, "value": values[0]} if values else found


def _value(written: WrittenValue, name: str, context: Context) -> Any:
    field = FIELDS[name]
    return value_of(written, field, context) if written.bare and field.type in TYPED else written.value
