"""Pure rules of saved filters."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.binding import bind
from chassis.filtering.documents import document_of, parse_document, parse_filter
from chassis.filtering.values import Context
from chassis.filtering.written import Condition, Group, Negation, Place, Written

from tasks_service.fields.rules import FIELDS

Scope = Literal["personal", "shared"]
MAX_FILTERS = 200
"""That one user has in a workspace."""


def kept(given: object, *, user_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the JSON of a filter that is text or JSON already, once it is known to mean something.

    Raises InvalidFilter, FilterTooComplex, InvalidInput.
    """
    written = parse_filter(given)
    # What is wrong with a filter is wrong in any zone.
    bind(written, FIELDS, Context(user_id, ZoneInfo("UTC"), now))
    document = document_of(written, FIELDS)
    # Text is shorter than its JSON, which is what counts when it is used.
    parse_document(document)
    return document


def read(document: object) -> Written:
    """Return what a filter was kept as. What is wrong with it by now is told of `filter_id`. Raises InvalidFilter."""
    return _placed(parse_document(document))


def _placed(written: Written) -> Written:
    match written:
        case Condition():
            values = tuple(replace(one, place=_inside(one.place)) for one in written.values)
            place, operator_place = _inside(written.place), _inside(written.operator_place)
            return replace(written, values=values, place=place, operator_place=operator_place)
        case Negation():
            return replace(written, node=_placed(written.node))
        case Group():
            return replace(written, nodes=tuple(_placed(one) for one in written.nodes))


def _inside(place: Place) -> Place:
    return replace(place, parameter="filter_id")
