"""Filters as text: `status = todo and (priority in (high, urgent) or due < today()+7d)`.

The parser is LALR(1) with a stack of its own, and every terminal is read from where the one before ended, so whatever
is sent costs what is in proportion to its length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, UnexpectedToken

from chassis.filtering.errors import InvalidFilter, unreadable
from chassis.filtering.guesses import operator_meant
from chassis.filtering.tree import OPERATORS as ALL_OPERATORS
from chassis.filtering.written import (
    Condition,
    Group,
    Place,
    Written,
    WrittenValue,
    check_bytes,
    check_depth,
    check_predicates,
    check_values,
    enclosed,
    joined,
    negated,
)

GRAMMAR = r"""
start: any
any: all (_OR all)*
all: one (_AND one)*
?one: _NOT one -> negation
    | "(" any ")" -> brackets
    | field (COMPARISON | PART) value -> comparison
    | field AMONG "(" value ("," value)* ")" -> comparison
    | field IS_NULL (TRUE | FALSE)? -> emptiness
field: FIELD | QUOTED
value: WORD | FUNCTION | QUOTED

_AND.2: /and(?![\w.\-])/i
_OR.2: /or(?![\w.\-])/i
_NOT.2: /not(?![\w.\-])/i
TRUE.2: /true(?![\w.\-])/i
FALSE.2: /false(?![\w.\-])/i
COMPARISON: "!=" | "<=" | ">=" | "=" | "<" | ">"
PART.2: /(contains|starts_with)(?![\w.\-])/i
AMONG.2: /(in|not_in|has_any|has_all|has_none)(?![\w.\-])/i
IS_NULL.2: /is_null(?![\w.\-])/i
FIELD: /[^\W\d][\w.\-]*/
FUNCTION.3: /[a-z_]+\(\s*\)(?:\s*[+\-]\s*[0-9]+[a-z]+|\s+[0-9]+[a-z]+)*/i
WORD: /[^\s()\[\]{}"'`,;=<>!&|\\]+/
QUOTED: /"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'/
%ignore /\s+/
"""
SHOWN = {
    "_AND": ("`and`",),
    "_OR": ("`or`",),
    "_NOT": ("`not`",),
    "LPAR": ("`(`",),
    "RPAR": ("`)`",),
    "COMMA": ("`,`",),
    "TRUE": ("`true`",),
    "FALSE": ("`false`",),
    "COMPARISON": ("`=`", "`!=`", "`<`", "`<=`", "`>`", "`>=`"),
    "AMONG": ("`in`", "`not_in`", "`has_any`", "`has_all`", "`has_none`"),
    "PART": ("`contains`", "`starts_with`"),
    "IS_NULL": ("`is_null`",),
    "FIELD": ("a field",),
    "WORD": ("a value",),
    "$END": ("the end",),
}
"""What a terminal is called; those that are not here go with another one."""
OPERATORS = frozenset(("COMPARISON", "PART", "AMONG", "IS_NULL"))
VALUES = frozenset(("WORD", "FUNCTION", "QUOTED"))
BRACKETS = {"LPAR": 1, "RPAR": -1}
QUOTES = ('"', "'")
ESCAPED = re.compile(r"\\([\s\S])")


def parse_text(text: str) -> Written:
    """Read a filter. Raises InvalidFilter or FilterTooComplex; positions are characters from 0."""
    check_bytes(len(text.encode(errors="surrogatepass")))
    try:
        found = _read(text)
    except UnexpectedInput as error:
        position = _position(error, text)
        raise _refusal(text, position) from None
    return found


def _refusal(text: str, position: int) -> InvalidFilter:
    expected = _expected(text, position)
    if SHOWN["IS_NULL"][0] not in expected:
        return unreadable(expected, position=position)
    return unreadable(expected, position=position, hint=operator_meant(text[position:]), allowed=ALL_OPERATORS)


def _read(text: str) -> Written:
    """Feed the parser token by token, and stop at what would be too much, wherever it would end."""
    parser = _grammar().parse_interactive(text)
    predicates = brackets = values = 0
    for token in parser.iter_parse():
        predicates += token.type in OPERATORS
        brackets += BRACKETS.get(token.type, 0)
        values = values + 1 if token.type == "COMMA" else values if token.type in VALUES else 0
        check_predicates(predicates)
        # The innermost may be those of a list.
        check_depth(brackets - 1)
        check_values(values + 1)
    found: Written = parser.feed_eof()  # type: ignore[no-untyped-call] # untyped in lark
    return found


@cache
def _grammar() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", transformer=_Builder())


def _position(error: UnexpectedInput, text: str) -> int:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return len(text)
    position: int | None = error.pos_in_stream
    return position or 0


def _expected(text: str, position: int) -> list[str]:
    """Return what may follow what stands before a position; where the parser stopped, it has already reduced that."""
    parser = _grammar().parse_interactive(text[:position])
    parser.exhaust_lexer()
    accepted = parser.accepts()  # type: ignore[no-untyped-call] # untyped in lark
    if text.startswith(QUOTES, position) and "QUOTED" in accepted:
        return [f"a closing `{text[position]}`"]
    return [thing for terminal, things in SHOWN.items() if terminal in accepted for thing in things]


@dataclass(frozen=True, slots=True)
class _Brackets:
    """What is in brackets: they are no level where they are those of the group in them, or of a `not` before them."""

    inner: Written
    is_level: bool


_Part = Written | _Brackets


def _node(part: _Part) -> Written:
    if isinstance(part, _Brackets):
        return enclosed(part.inner) if part.is_level else part.inner
    return part


def _group(word: Literal["and", "or"], parts: Sequence[_Part]) -> _Part:
    return parts[0] if len(parts) == 1 else joined(word, [_node(part) for part in parts])


class _Builder(Transformer[Token, Written]):
    """Makes the tree as the parser goes; called from the inside out, so that nothing here calls itself."""

    def start(self, parts: list[_Part]) -> Written:
        return _node(parts[0])

    def any(self, parts: list[_Part]) -> _Part:
        return _group("or", parts)

    def all(self, parts: list[_Part]) -> _Part:
        return _group("and", parts)

    def brackets(self, parts: list[_Part]) -> _Part:
        (inner,) = parts
        return _Brackets(_node(inner), is_level=not isinstance(inner, Group))

    def negation(self, parts: list[_Part]) -> Written:
        (inner,) = parts
        return negated(inner.inner if isinstance(inner, _Brackets) else inner)

    def field(self, tokens: list[Token]) -> tuple[str, Place]:
        return _unquoted(tokens[0]), _place(tokens[0])

    def value(self, tokens: list[Token]) -> WrittenValue:
        return WrittenValue(_unquoted(tokens[0]), _place(tokens[0]), bare=tokens[0].type != "QUOTED")

    def comparison(self, parts: list[Any]) -> Written:
        (name, place), operator, *values = parts
        check_values(len(values))
        return Condition(name, operator.lower(), tuple(values), place, _place(operator))

    def emptiness(self, parts: list[Any]) -> Written:
        (name, place), operator, *expected = parts
        found = Condition(name, operator.lower(), (), place, _place(operator))
        return negated(found) if expected and expected[0].type == "FALSE" else found


def _place(token: Token) -> Place:
    return Place(position=token.start_pos)


def _unquoted(token: Token) -> str:
    return ESCAPED.sub(r"\1", token[1:-1]) if token.type == "QUOTED" else str(token)
