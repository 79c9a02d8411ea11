from typing import Annotated, Any, Literal

from chassis.filtering import meanings
from chassis.filtering.fields import Field as FilterField
from chassis.filtering.fields import FieldType
from chassis.filtering.moments import FUNCTIONS
from chassis.filtering.parameters import FlatParameter, flat_parameters
from chassis.filtering.tree import OF_LISTS, OPERATORS, Operator
from chassis.filtering.values import MAX_TEXT
from chassis.filtering.written import MAX_BYTES, MAX_DEPTH, MAX_PREDICATES, MAX_VALUES
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from tasks_service.fields.rules import FIELDS, METADATA, example_json, example_text
from tasks_service.sorting.rules import KEYS, MAX_KEYS, RANK


def _text_or_tree(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise PydanticCustomError("WRONG_TYPE", "A filter is text, or an object.")
    return value


A_FILTER = {"anyOf": [{"type": "string"}, {"type": "object"}]}
WrittenFilter = Annotated[Any, BeforeValidator(_text_or_tree), WithJsonSchema(A_FILTER)]
"""A filter as text or JSON in a body; its length and form are looked at where it is read."""


class FieldOut(BaseModel):
    """A field of tasks to filter by."""

    name: str
    aliases: list[str] = Field(description="Other names that it may be called by in filters.")
    type: FieldType = Field(description="What its values are; see `types`.")
    description: str
    operators: list[Operator] = Field(description="What it can be compared by; see `operators`.")
    nullable: bool = Field(description="Whether tasks may be without it; see `is_null`.")
    several: bool = Field(description="Whether it is a set of values.")
    allowed: list[str] | None = Field(description="All of its values, where they are known, in their order if any.")
    sortable: bool = Field(description="Whether `sort=` takes it.")
    parameters: list[str] = Field(description="The query parameters that filter by it.")
    example_text: str = Field(description="A filter by it, for `filter=`.")
    example_json: dict[str, Any] = Field(description="The same, as JSON.")

    @classmethod
    def of(cls, field: FilterField) -> "FieldOut":
        """Make the resource of a field."""
        return cls.model_construct(
            name=field.name,
            aliases=list(field.aliases),
            type=field.type,
            description=field.description,
            operators=list(field.operators),
            nullable=field.nullable,
            several=field.several,
            allowed=None if field.allowed is None else list(field.allowed),
            sortable=field.name in KEYS,
            parameters=[name for name, one in PARAMETERS.items() if one.field is field],
            example_text=example_text(field),
            example_json=example_json(field),
        )


class OperatorOut(BaseModel):
    """An operator."""

    operator: Operator
    operand: Literal["value", "list", "nothing"] = Field(description="What stands behind it.")
    meaning: str


class MeaningOut(BaseModel):
    """A word and what it means."""

    name: str
    meaning: str


class FunctionOut(MeaningOut):
    """A function of now; offsets may follow it."""

    gives: Literal["day", "instant"]


class SortKeyOut(BaseModel):
    """What lists are sorted by, upwards, or downwards with a `-` before it."""

    name: str
    only_with_q: bool = Field(description="Whether there has to be a search.")


class FlatParameterOut(BaseModel):
    """A query parameter that filters. Several values are OR, several parameters AND."""

    name: str
    field: str
    operator: Literal["=", "<", ">"]
    commas: bool = Field(description="Whether values may be joined by commas, besides repeating it.")
    none: bool = Field(description="Whether `none` is what finds tasks without a value.")

    @classmethod
    def of(cls, one: FlatParameter) -> "FlatParameterOut":
        """Make the resource of a parameter."""
        return cls(name=one.name, field=one.field.name, operator=one.operator, commas=one.is_split, none=one.takes_none)


class LimitsOut(BaseModel):
    """How large a filter may be."""

    bytes: int = Field(description="Of a filter, as text or as JSON, in UTF-8.")
    predicates: int = Field(description="Comparisons in a filter.")
    depth: int = Field(description="How many of `and`, `or`, `not` and brackets may be around a predicate.")
    values: int = Field(description="Values of one predicate.")
    text_characters: int = Field(description="Characters of a value.")
    sort_keys: int = Field(description="Keys of one `sort=`.")


class FieldsOut(BaseModel):
    """All that filters of tasks are made of."""

    fields: list[FieldOut]
    parameters: list[FlatParameterOut]
    operators: list[OperatorOut]
    types: list[MeaningOut]
    functions: list[FunctionOut]
    units: list[MeaningOut]
    sort_keys: list[SortKeyOut]
    limits: LimitsOut


def _operand(operator: Operator) -> Literal["value", "list", "nothing"]:
    if operator == "is_null":
        return "nothing"
    return "list" if operator in OF_LISTS else "value"


def _meanings(words: Any) -> list[MeaningOut]:
    return [MeaningOut(name=name, meaning=meaning) for name, meaning in words.items()]


PARAMETERS = flat_parameters(FIELDS)
SHOWN = FieldsOut.model_construct(
    fields=[FieldOut.of(field) for field in (*FIELDS.fields, METADATA)],
    parameters=[FlatParameterOut.of(one) for one in PARAMETERS.values()],
    operators=[
        OperatorOut(operator=one, operand=_operand(one), meaning=meanings.OF_OPERATORS[one]) for one in OPERATORS
    ],
    types=_meanings(meanings.OF_TYPES),
    functions=[
        FunctionOut(name=f"{name}()", meaning=meaning, gives="day" if name in FUNCTIONS else "instant")
        for name, meaning in meanings.OF_FUNCTIONS.items()
    ],
    units=_meanings(meanings.OF_UNITS),
    sort_keys=[SortKeyOut(name=name, only_with_q=name == RANK) for name in KEYS],
    limits=LimitsOut(
        bytes=MAX_BYTES,
        predicates=MAX_PREDICATES,
        depth=MAX_DEPTH,
        values=MAX_VALUES,
        text_characters=MAX_TEXT,
        sort_keys=MAX_KEYS,
    ),
)
FIELDS_EXAMPLE = {
    name: values[:1] if isinstance(values, list) else values for name, values in SHOWN.model_dump(mode="json").items()
}
