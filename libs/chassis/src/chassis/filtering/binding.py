"""From filters as they are written to trees of typed predicates; all that is wrong is told at once."""

from collections.abc import Callable, Iterator, Sequence

from chassis.errors import ErrorDetail, InvalidInput
from chassis.filtering.fields import ORDER, Field, FieldTable
from chassis.filtering.guesses import NEVER_EMPTY, NO_VALUE, NOTHING, operator_meant
from chassis.filtering.moments import is_relative
from chassis.filtering.tree import OPERATORS, Node, Operator, Predicate, Value, all_of, any_of, none_of
from chassis.filtering.values import Context, RefusedValue, value_of
from chassis.filtering.written import Condition, Group, Negation, Place, Written, WrittenValue
from chassis.text import closest, hint_at

OF_ONE: dict[Operator, Operator] = {"in": "=", "has_any": "=", "has_all": "=", "not_in": "!=", "has_none": "!="}
"""What an operator of lists is with one value."""
OF_A_SET: dict[Operator, Operator] = {"in": "has_any", "not_in": "has_none"}
OF_TIME = frozenset(("day", "instant", "due"))
MAX_PROBLEMS = 50
MAX_GUESSES = 10
"""Names and values that are guessed at; comparing takes its time."""


def bind_all(written: Sequence[Written], fields: FieldTable, context: Context) -> Node:
    """Return what filters that come together mean, joined by AND; nothing is everything. Raises InvalidInput."""
    binder = _Binder(fields, context)
    nodes = [binder.node(one) for one in written]
    if binder.problems:
        raise InvalidInput(details=binder.problems)
    return all_of(nodes)


def bind(written: Written, fields: FieldTable, context: Context) -> Node:
    """Return the tree that a filter means, the same for whatever means the same. Raises InvalidInput.

    Aliases are replaced by names, `me` and relative dates by what they are. Operators of lists with one value become
    those of one value, `in` of a set becomes `has_any`, `not_in` of one `has_none`, and equal values become one.
    """
    return bind_all([written], fields, context)


def needs_now(written: Written, fields: FieldTable) -> bool:
    """Tell whether what a filter means depends on when it is asked."""
    return any(
        is_relative(str(value.value))
        for condition in conditions_of(written)
        if (field := fields.find(condition.field)) is not None and field.type in OF_TIME
        for value in condition.values
    )


def needs_zone(written: Written, fields: FieldTable) -> bool:
    """Tell whether what a filter means may depend on where days begin, as all that is asked of a time does."""
    found = (fields.find(condition.field) for condition in conditions_of(written))
    return any(field is None or field.type in OF_TIME for field in found)


def conditions_of(written: Written) -> Iterator[Condition]:
    """Yield all that is compared in a filter, in its order."""
    if isinstance(written, Condition):
        yield written
    else:
        for node in written.nodes if isinstance(written, Group) else (written.node,):
            yield from conditions_of(node)


class _Binder:
    def __init__(self, fields: FieldTable, context: Context) -> None:
        self.problems: list[ErrorDetail] = []
        self._fields = fields
        self._context = context
        self._guesses = 0

    def node(self, written: Written) -> Node:
        if isinstance(written, Condition):
            return self._predicate(written)
        if isinstance(written, Negation):
            return none_of(self.node(written.node))
        nodes = [self.node(one) for one in written.nodes]
        return all_of(nodes) if written.word == "and" else any_of(nodes)

    def _predicate(self, condition: Condition) -> Node:
        field = self._fields.find(condition.field)
        if field is None:
            self._refuse_field(condition)
            return Predicate(condition.field, "=")
        if condition.operator not in field.operators:
            self._refuse_operator(condition, field)
            return Predicate(field.name, "=")
        operator = condition.operator
        found = [value for one in condition.values if (value := self._value(one, field, operator)) is not None]
        return _canonical(field, operator, found)

    def _value(self, written: WrittenValue, field: Field, operator: Operator) -> Value | None:
        try:
            value = value_of(written, field, self._context)
            _check_kind(value, field, operator)
        except RefusedValue as refused:
            hint = NO_VALUE if _is_nothing(written, field) else self._meant(refused.guess)
            self._tell(written.place, refused.code, refused.message, hint, refused.allowed)
            return None
        return value

    def _refuse_field(self, condition: Condition) -> None:
        hint = self._meant(lambda: closest(condition.field, self._fields.known))
        self._tell(condition.place, "UNKNOWN_FIELD", "There is no such field here.", hint, self._fields.names)

    def _refuse_operator(self, condition: Condition, field: Field) -> None:
        message = "This field does not take this operator."
        hint = NEVER_EMPTY if condition.operator == "is_null" else None
        if condition.operator not in OPERATORS and self._may_guess():
            hint = operator_meant(condition.operator, field.operators)
        self._tell(condition.operator_place, "OPERATOR_NOT_ALLOWED", message, hint, field.operators)

    def _meant(self, guess: Callable[[], str | None]) -> str | None:
        return hint_at(guess() if self._may_guess() else None)

    def _may_guess(self) -> bool:
        self._guesses += 1
        return self._guesses <= MAX_GUESSES

    def _tell(self, place: Place, code: str, message: str, hint: str | None, allowed: tuple[str, ...] | None) -> None:
        if len(self.problems) == MAX_PROBLEMS:
            return
        where = place.parameter or "filter"
        self.problems.append(
            ErrorDetail(
                code, message, where, hint=hint, allowed=allowed, position=place.position, pointer=place.pointer
            )
        )


def _is_nothing(written: WrittenValue, field: Field) -> bool:
    """Tell whether a refused value stands for none, where `is_null` asks for that; parameters have a word for it."""
    named = isinstance(written.value, str) and written.value.lower() in NOTHING
    return named and "is_null" in field.operators and written.place.parameter is None


def _check_kind(value: Value, field: Field, operator: Operator) -> None:
    """Refuse a scalar of a kind that the operator has no use for. Raises RefusedValue."""
    if field.type != "scalar":
        return
    if operator in ("contains", "starts_with") and not isinstance(value, str):
        raise RefusedValue("a text by this operator")
    if operator in ORDER and isinstance(value, bool):
        raise RefusedValue("a text or a number by this operator")


def _canonical(field: Field, operator: Operator, values: list[Value]) -> Predicate:
    distinct = tuple({(type(value), value): value for value in values}.values())
    if len(distinct) == 1:
        operator = OF_ONE.get(operator, operator)
    elif field.several:
        operator = OF_A_SET.get(operator, operator)
    return Predicate(field.name, operator, distinct)
