"""Filters as flat parameters: `status=todo&status=done&owner=me,none&due_before=today()+7d`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

from chassis.filtering.errors import FilterTooComplex
from chassis.filtering.fields import Field, FieldTable
from chassis.filtering.written import Condition, Place, Written, WrittenValue, check_values, joined

NONE = "none"
WITH_SUFFIXES = frozenset({"day", "instant", "due"})
UNSPLIT = frozenset({"text", "scalar"})
"""Types whose values may have a comma in them: several are given by repeating the parameter."""


@dataclass(frozen=True, slots=True)
class FlatParameter:
    """A parameter that filters: the field, and how it is compared. Each may be repeated."""

    name: str
    field: Field
    operator: Literal["=", "<", ">"]

    @property
    def is_split(self) -> bool:
        """Whether values may be given with commas between them."""
        return self.field.type not in UNSPLIT

    @property
    def takes_none(self) -> bool:
        """Whether `none` is no value, but having none."""
        may_be_empty = self.field.nullable or self.field.several
        has_it = self.field.type in UNSPLIT or NONE in (self.field.allowed or ())
        return self.operator == "=" and may_be_empty and not has_it


@cache
def flat_parameters(fields: FieldTable) -> Mapping[str, FlatParameter]:
    """Return the parameters that filter by the fields of a table, by their names; dynamic fields have none."""
    found: dict[str, FlatParameter] = {}
    for field in fields.fields:
        for name in (field.name, *field.aliases):
            found[name] = FlatParameter(name, field, "=")
            if field.type in WITH_SUFFIXES:
                found[f"{name}_before"] = FlatParameter(f"{name}_before", field, "<")
                found[f"{name}_after"] = FlatParameter(f"{name}_after", field, ">")
    return found


def parse_parameters(given: Mapping[str, Sequence[str]], fields: FieldTable) -> Written | None:
    """Read the parameters that filter, and no others, of all that are given. Raises FilterTooComplex.

    What is given to one parameter is joined by OR, and parameters are joined by AND.
    """
    known = flat_parameters(fields)
    written = [_limited(known[name], values) for name, values in given.items() if values and name in known]
    with _told_of(None):
        return joined("and", written) if written else None


@contextmanager
def _told_of(parameter: str | None) -> Iterator[None]:
    """Let what is too complex be told of a parameter, or of none, where several are too much together."""
    try:
        yield
    except FilterTooComplex as refusal:
        raise FilterTooComplex(refusal.message, field=parameter) from refusal


def _limited(parameter: FlatParameter, given: Sequence[str]) -> Written:
    with _told_of(parameter.name):
        return _condition(parameter, given)


def _condition(parameter: FlatParameter, given: Sequence[str]) -> Written:
    texts = [part for text in given for part in (text.split(",") if parameter.is_split else (text,))]
    check_values(len(texts))
    place = Place(parameter=parameter.name)
    values = [text for text in texts if text != NONE or not parameter.takes_none]
    alternatives = [_compared(parameter, values, place)] if values else []
    if len(values) < len(texts):
        alternatives.append(Condition(parameter.field.name, "is_null", (), place, place))
    return joined("or", alternatives)


def _compared(parameter: FlatParameter, texts: Sequence[str], place: Place) -> Written:
    values = tuple(WrittenValue(text, place, bare=True) for text in texts)
    name = parameter.field.name
    if parameter.operator == "=":
        operator = "=" if len(values) == 1 else "in"
        return Condition(name, operator, values, place, place)
    return joined("or", [Condition(name, parameter.operator, (value,), place, place) for value in values])
