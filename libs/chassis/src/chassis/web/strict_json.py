"""Reading JSON bodies strictly (R29): what one parser would take and another refuse is refused at the edge.

Refused are NaN and infinities, numbers that overflow, integers beyond 64 bits, lone surrogates, U+0000, byte
order marks, invalid UTF-8, duplicate keys (RFC 8259 section 4 leaves them undefined), nesting deeper than 32
and more than 10,000 values, where a route says no other number.
"""

import json
from typing import Any

import orjson

from chassis.errors import InvalidInput, MalformedJson, UnsupportedMediaType

MAX_DEPTH = 32
MAX_VALUES = 10_000
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
MAX_DIGITS = len(str(INT64_MIN))
TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} or has more than {{}} values."

JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})


class NullCharacter(InvalidInput):
    code = "NULL_CHARACTER"
    message = "Text must not contain the character U+0000."


class NumberOutOfRange(InvalidInput):
    code = "NUMBER_OUT_OF_RANGE"
    message = "Whole numbers must fit into 64 bits."


def check_content_type(content_type: str | None, content_encoding: str | None) -> None:
    """Raise UnsupportedMediaType unless the body is plain JSON in UTF-8."""
    if (content_encoding or "identity").strip().lower() != "identity":
        raise UnsupportedMediaType(field=None, hint="send the body without Content-Encoding")
    media_type, _, parameters = (content_type or "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media_type.strip() not in JSON_TYPES or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType


def parse_json(body: bytes, *, max_values: int = MAX_VALUES) -> Any:
    """Return the value of a JSON document. Raises MalformedJson, NullCharacter or NumberOutOfRange."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(hint=f"at line {error.lineno}, column {error.colno}") from None
    _check_values(value, max_values)
    _refuse_what_orjson_takes(body, max_values)
    return value


def _refuse_what_orjson_takes(body: bytes, max_values: int) -> None:
    """Parse again with hooks: orjson keeps the last of two equal keys, and rounds whole numbers beyond 64 bits."""
    try:
        json.loads(body, object_pairs_hook=_unique, parse_int=_check_digits)
    except RecursionError:
        # Only a value under a key that comes twice can still be that deep.
        raise MalformedJson(TOO_DEEP.format(max_values)) from None


def _check_digits(digits: str) -> None:
    if len(digits) > MAX_DIGITS or not INT64_MIN <= int(digits) <= INT64_MAX:
        raise NumberOutOfRange


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise MalformedJson("The body has the same key twice in one object.")


def _check_values(root: Any, max_values: int) -> None:
    """Walk the tree without recursion, so that depth is bounded by us and not by the interpreter."""
    pending: list[tuple[Any, int, str]] = [(root, 1, "")]
    seen = 0
    while pending:
        value, depth, path = pending.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > max_values:
            raise MalformedJson(TOO_DEEP.format(max_values))
        if isinstance(value, dict):
            for key, item in value.items():
                _check_text(key, path)
                pending.append((item, depth + 1, f"{path}.{key}" if path else key))
        elif isinstance(value, list):
            pending.extend((item, depth + 1, f"{path}.{index}") for index, item in enumerate(value))
        else:
            _check_scalar(value, path)


def _check_scalar(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
        raise NumberOutOfRange(field=path or None)


def _check_text(value: str, path: str) -> None:
    if "\0" in value:
        raise NullCharacter(field=path or None)
