"""What the routes of a service take that only looks right: in JSON, text is no number, and 1 is not true."""

from collections.abc import Iterator, Sequence
from typing import Any

from chassis.web.handlers import api_routes
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

NUMBERS_AND_FLAGS = frozenset({"int", "bool", "float", "decimal"})
DATES = frozenset({"date", "datetime", "time", "timedelta"})
OWN_READERS = frozenset({"function-before", "function-wrap", "function-plain"})
NOT_SCHEMAS = frozenset({"metadata", "serialization", "default"})
ONLY_LIKE_FLAGS = ("1", "0", "True", "TRUE", "yes", "on", "t", "")


def lax_inputs(routers: tuple[object, ...]) -> list[str]:
    """Return the inputs that take what they should not, each with its operation.

    In bodies these are numbers and flags that are not strict, and dates without a reader of our own, since pydantic
    takes a number for one; in queries flags that take more than `true` and `false`.
    """
    found: list[str] = []
    for route in api_routes(routers):
        if route.body_field is not None:
            schema = route.body_field._type_adapter.core_schema  # noqa: SLF001 - nothing else tells what is strict
            found += [f"{route.name}: {'.'.join(path)}" for path in _lax_parts(schema)]
        found += [f"{route.name}: ?{name}" for name in _lax_flags(route)]
    return found


def _lax_parts(node: Any, path: Sequence[str] = (), *, is_read: bool = False) -> Iterator[Sequence[str]]:
    if isinstance(node, list | tuple):
        for one in node:
            yield from _lax_parts(one, path, is_read=is_read)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if (kind in NUMBERS_AND_FLAGS and not node.get("strict")) or (kind in DATES and not is_read):
        yield path
    read = is_read or kind in OWN_READERS
    for name, one in node.items():
        if name == "fields" and isinstance(one, dict):
            for field, of_field in one.items():
                yield from _lax_parts(of_field, (*path, field))
        elif name not in NOT_SCHEMAS:
            yield from _lax_parts(one, path, is_read=read)


def _lax_flags(route: APIRoute) -> Iterator[str]:
    pending: list[Dependant] = [route.dependant]
    while pending:
        current = pending.pop()
        pending.extend(current.dependencies)
        for field in current.query_params:
            is_flag = field.validate("true")[0] is True
            if is_flag and not all(field.validate(text)[1] for text in ONLY_LIKE_FLAGS):
                yield field.alias
