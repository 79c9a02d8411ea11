"""Trees as JSON, as text and as bytes; each of the first two, read and bound again, is the same tree."""

import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson

from chassis.filtering.tree import OF_LISTS, And, Node, Not, Or, Predicate, Value

PLAIN_NAME = re.compile(r"[^\W\d][\w.\-]*")
PLAIN_WORD = re.compile(r"[a-z_][\w\-]*", re.ASCII)
NOT = re.compile(r"not(?![\w.\-])", re.IGNORECASE)


def as_json(node: Node) -> dict[str, Any]:
    """Return a tree as JSON: days as `2026-12-01`, instants with Z. What is always true is `{"and": []}`."""
    if isinstance(node, Predicate):
        return _predicate_as_json(node)
    if isinstance(node, Not):
        return {"not": as_json(node.node)}
    return {"and" if isinstance(node, And) else "or": [as_json(one) for one in node.nodes]}


def as_text(node: Node) -> str:
    """Return a tree as text, with no more brackets than it needs. What is always true is an empty text."""
    if isinstance(node, Predicate):
        return _predicate_as_text(node)
    if isinstance(node, Not):
        inner = as_text(node.node)
        return f"not {inner}" if isinstance(node.node, Predicate) else f"not ({inner})"
    if isinstance(node, Or):
        return " or ".join(as_text(one) for one in node.nodes)
    return " and ".join(f"({as_text(one)})" if isinstance(one, Or) else as_text(one) for one in node.nodes)


def fingerprint(node: Node) -> bytes:
    """Return bytes that are equal for trees that differ in nothing but the order of what they join."""
    return orjson.dumps(_ordered(node))


def _predicate_as_json(predicate: Predicate) -> dict[str, Any]:
    values = [_plain(value) for value in predicate.values]
    found: dict[str, Any] = {"field": predicate.field, "op": predicate.operator}
    if predicate.operator in OF_LISTS:
        return {**found, "value": values}
    return {**found, "value": values[0]} if values else found


def _plain(value: Value) -> str | int | float | bool:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _predicate_as_text(predicate: Predicate) -> str:
    name = predicate.field
    name = name if PLAIN_NAME.fullmatch(name) and not NOT.match(name) else _quoted(name)
    values = ", ".join(_written(value) for value in predicate.values)
    if predicate.operator in OF_LISTS:
        values = f"({values})"
    return " ".join(filter(None, (name, predicate.operator, values)))


def _written(value: Value) -> str:
    plain = _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(plain)
    is_plain = PLAIN_WORD.fullmatch(value) and value.lower() not in ("true", "false")
    return value if is_plain else _quoted(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _ordered(node: Node) -> Any:
    if isinstance(node, Predicate):
        shown = _predicate_as_json(node)
        return {**shown, "value": sorted(shown["value"], key=orjson.dumps)} if node.operator in OF_LISTS else shown
    if isinstance(node, Not):
        return {"not": _ordered(node.node)}
    word = "and" if isinstance(node, And) else "or"
    return {word: sorted((_ordered(one) for one in node.nodes), key=orjson.dumps)}
