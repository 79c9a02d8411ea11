"""From pydantic's findings to the envelope's entries: all errors at once, and never the input (R28)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from chassis.errors import ErrorDetail, InvalidInput
from chassis.text import closest, hint_at

MAX_ERRORS = 50
"""How many things that are wrong are told at once."""

CODES = {
    "missing": ("REQUIRED", "This field is required."),
    "string_too_long": ("TOO_LONG", "This is longer than {max_length} characters."),
    "string_too_short": ("TOO_SHORT", "This is shorter than {min_length} characters."),
    "too_long": ("TOO_MANY", "More than {max_length} entries."),
    "too_short": ("TOO_FEW", "Fewer than {min_length} entries."),
    "greater_than_equal": ("TOO_SMALL", "This must be at least {ge}."),
    "less_than_equal": ("TOO_LARGE", "This must be at most {le}."),
    "greater_than": ("TOO_SMALL", "This must be more than {gt}."),
    "less_than": ("TOO_LARGE", "This must be less than {lt}."),
    "enum": ("NOT_ALLOWED", "This is not one of the allowed values."),
    "literal_error": ("NOT_ALLOWED", "This is not one of the allowed values."),
    "string_type": ("WRONG_TYPE", "This must be text."),
    "string_unicode": ("WRONG_TYPE", "This must be valid Unicode text."),
    "int_type": ("WRONG_TYPE", "This must be a whole number."),
    "int_from_float": ("WRONG_TYPE", "This must be a whole number."),
    "int_parsing": ("WRONG_TYPE", "This must be a whole number."),
    "float_type": ("WRONG_TYPE", "This must be a number."),
    "bool_type": ("WRONG_TYPE", "This must be true or false."),
    "bool_parsing": ("WRONG_TYPE", "This must be true or false."),
    "list_type": ("WRONG_TYPE", "This must be a list."),
    "dict_type": ("WRONG_TYPE", "This must be an object."),
    "model_type": ("WRONG_TYPE", "This must be an object."),
    "model_attributes_type": ("WRONG_TYPE", "This must be an object."),
    "uuid_type": ("WRONG_TYPE", "This must be an id (a UUID)."),
    "uuid_parsing": ("INVALID_ID", "This is not a valid id (a UUID)."),
    "timezone_aware": ("TIMEZONE_REQUIRED", "This instant needs an offset, such as Z."),
    "string_pattern_mismatch": ("INVALID_FORMAT", "This does not have the expected form."),
}
NO_BODY = ("REQUIRED", "This request needs a body: a JSON object.")
FIELD_CODES = {
    "REQUIRED": "This field is required.",
    "INVALID_ID": "This is not a valid id (a UUID).",
    "NOT_ALLOWED": "This is not one of the allowed values.",
    "TIMEZONE_REQUIRED": "This instant needs an offset, such as Z.",
    "TOO_LONG": "This is longer than it may be.",
    "TOO_SHORT": "This is shorter than it may be.",
    "TOO_MANY": "These are more entries than there may be.",
    "TOO_FEW": "These are fewer entries than there may be.",
    "TOO_SMALL": "This is less than it may be.",
    "TOO_LARGE": "This is more than it may be.",
    "WRONG_TYPE": "This is not of the right type.",
    "INVALID_FORMAT": "This does not have the expected form.",
    "INVALID_VALUE": "This value is not valid.",
    "NOT_NULLABLE": "This can't be cleared.",
    "NULL_CHARACTER": "Text must not contain the character U+0000.",
    "READ_ONLY_FIELD": "This field is not for you to set.",
    "REPEATED_ENTRY": "Each entry may be given only once.",
    "REPEATED_FIELD": "This field may be given only once.",
    "REPEATED_PARAMETER": "This parameter may be given only once.",
    "UNKNOWN_FIELD": "There is no such field here.",
    "OPERATOR_NOT_ALLOWED": "This field does not take this operator.",
    "VALUE_NOT_ALLOWED": "This field is not compared with this value.",
    "INVALID_TIMEZONE": "A timezone is an IANA name such as Europe/Berlin.",
    "INVALID_URL": "This is not an acceptable URL.",
    "DATE_OUT_OF_RANGE": "Years run from 1970 to 2100.",
}
"""Every code that says what is wrong with one field or parameter, for the catalogue; all of them are 422."""

OF_UNIONS = {"union_tag_invalid": "NOT_ALLOWED", "union_tag_not_found": "REQUIRED"}
DATE_TYPES = ("date", "datetime", "time")
CHANGING = frozenset({"PATCH", "PUT"})
CREATED = 201
SERVER_FIELDS = frozenset({"id", "version", "created_at", "created_by", "updated_at"})
NO_OTHER_NAMES: Mapping[str, str] = MappingProxyType({})
PARAMETER_LOCATIONS = frozenset({"query", "path", "header", "cookie"})


@dataclass(frozen=True, slots=True)
class Names:
    """The fields of a body, for hints, and those that its resource shows and nobody sets."""

    known: Sequence[str] = ()
    read_only: Collection[str] = ()


def invalid_input(errors: Iterable[dict[str, Any]], *, known_fields: Sequence[str] = ()) -> InvalidInput:
    """Turn pydantic's error list into one refusal.

    Of many errors the first are told, since an entry is far longer than what may be wrong. `known_fields` are those
    of what was read, for hints.
    """
    names = Names(known_fields)
    return _refusal(_detail(error, names) for error in errors)


def _refusal(found: Iterable[ErrorDetail]) -> InvalidInput:
    details: list[ErrorDetail] = []
    for detail in found:
        # A parameter that two dependencies have is told once, and so is a list parameter with two wrong values.
        if detail not in details:
            details.append(detail)
        if len(details) == MAX_ERRORS:
            break
    return InvalidInput(details=details) if details else InvalidInput()


def invalid_body(route: object, errors: Iterable[dict[str, Any]]) -> InvalidInput:
    """Explain what FastAPI found wrong with a request of a route.

    A model that has entries of many kinds names the tags of these in `union_tags`, what else they are called in
    `meant_tags`, and in `indexed` the list whose places errors are told with as their `index`.
    """
    body = _body_of(route)
    meant: Mapping[str, str] = getattr(body, "meant_tags", NO_OTHER_NAMES)
    tags: Collection[str] = getattr(body, "union_tags", ())
    indexed: str | None = getattr(body, "indexed", None)
    outer = Names(sorted(_fields(body)), read_only_fields(route))
    return _refusal(
        replace(
            _detail(_untagged(error, tags), names_at(body, error["loc"][1:], outer), meant),
            index=_index(error["loc"][1:], indexed),
        )
        for error in errors
    )


def indexed_details(route: object, details: Sequence[ErrorDetail]) -> list[ErrorDetail]:
    """Tell what the values of a body are refused for by the entries that they are in, as `invalid_body` does."""
    name: str | None = getattr(_body_of(route), "indexed", None)
    places = [[int(part) if part.isdecimal() else part for part in (one.field or "").split(".")] for one in details]
    return [replace(one, index=_index(place, name)) for one, place in zip(details, places, strict=True)]


def _index(place: Sequence[str | int], indexed: str | None) -> int | None:
    """Return which entry of a list an error is of."""
    if indexed is None or len(place) < 2 or place[0] != indexed:  # noqa: PLR2004 - the list, and the entry
        return None
    return place[1] if isinstance(place[1], int) else None


def _untagged(error: dict[str, Any], tags: Collection[str]) -> dict[str, Any]:
    """Leave out of the place of an error which of a union's models an entry of a list was held against."""
    place = [*error["loc"]]
    kept = [
        part
        for index, part in enumerate(place)
        if not (part in tags and index > 0 and isinstance(place[index - 1], int))
    ]
    return {**error, "loc": kept}


def names_at(body: object, place: Sequence[str | int], outer: Names) -> Names:
    """Return the names of the model in a body that has the last part of a place; `outer` are those of the body."""
    if len(place) <= 1:
        return outer
    models = [body]
    for part in place[:-1]:
        models = _entries(models) if isinstance(part, int) else _named(models, part)
    known = {name for one in models for name in _fields(one)}
    read_only = {name for one in models for name in getattr(one, "read_only_fields", ())}
    return Names(sorted(known), read_only - known)


def _entries(kinds: Iterable[object]) -> list[object]:
    return [inner for kind in kinds if get_origin(kind) is list for inner in _flat(get_args(kind)[0])]


def _named(kinds: Sequence[object], part: str) -> list[object]:
    """Return those models of a union that have a tag, or else what their fields of this name are."""
    if len(kinds) > 1 and (tagged := [kind for kind in kinds if part in _tags(kind)]):
        return tagged
    return [
        inner
        for kind in kinds
        for name, field in _fields(kind).items()
        if part == name or part in getattr(field.validation_alias, "choices", ())
        for inner in _flat(field.annotation)
    ]


def _tags(kind: object) -> set[Any]:
    annotations = [field.annotation for field in _fields(kind).values()]
    return {tag for one in annotations if get_origin(one) is Literal for tag in get_args(one)}


def _flat(annotation: object) -> list[object]:
    """Return the types that a union is of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _flat(get_args(annotation)[0])
    if origin is Union or origin is UnionType:
        return [inner for one in get_args(annotation) for inner in _flat(one)]
    return [annotation]


def read_only_fields(route: object) -> set[str]:
    """Return what the resource of a route shows, and its body has not.

    That is all of it where a resource is changed, and what the server gives to every one where it is made; a model
    may name more in `read_only_fields`.
    """
    body = _body_of(route)
    methods: set[str] = getattr(route, "methods", None) or set()
    answer = _fields(getattr(route, "response_model", None))
    shown = set(_fields(answer["data"].annotation)) if "data" in answer else set()
    if methods.isdisjoint(CHANGING):
        shown = shown & SERVER_FIELDS if getattr(route, "status_code", None) == CREATED else set()
    return (shown | set(getattr(body, "read_only_fields", ()))) - set(_fields(body))


def _body_of(route: object) -> object:
    field = getattr(route, "body_field", None)
    return getattr(getattr(field, "field_info", None), "annotation", None)


def _fields(model: object) -> dict[str, Any]:
    found: dict[str, Any] = getattr(model, "model_fields", {})
    return found


def _detail(error: dict[str, Any], names: Names, meant: Mapping[str, str] = NO_OTHER_NAMES) -> ErrorDetail:
    kind = str(error["type"])
    field = _path(error["loc"])
    context = error.get("ctx") or {}
    if kind == "extra_forbidden":
        return _unknown_field(field, names)
    if kind in CODES:
        code, sentence = NO_BODY if kind == "missing" and field is None else CODES[kind]
        allowed = _allowed(context) if code == "NOT_ALLOWED" else None
        message = sentence.format_map(context) if "{" in sentence else sentence
        return ErrorDetail(code, message, field, hint=_hint(error.get("input"), allowed or ()), allowed=allowed)
    if kind in OF_UNIONS:
        return _wrong_tag(OF_UNIONS[kind], field, context, meant)
    if kind.startswith(DATE_TYPES):
        return ErrorDetail("INVALID_FORMAT", "This is not a valid date or time (RFC 3339).", field)
    if kind == "value_error":
        return _own_rule(context.get("error"), field)
    # A custom error of ours is an UPPER_SNAKE type with a sentence that does not quote the input.
    return ErrorDetail(kind if kind.isupper() else "INVALID_VALUE", _sentence(kind, error), field)


def _wrong_tag(code: str, field: str | None, context: dict[str, Any], meant: Mapping[str, str]) -> ErrorDetail:
    """Tell what is wrong with the field that says which model of a union is meant."""
    name = str(context.get("discriminator", "")).strip("'")
    allowed = _allowed({"expected": context.get("expected_tags")})
    tag = context.get("tag")
    hint = hint_at(meant.get(str(tag).lower())) or _hint(tag, allowed or ())
    return ErrorDetail(code, FIELD_CODES[code], ".".join(filter(None, (field, name))), hint=hint, allowed=allowed)


def _own_rule(error: Any, field: str | None) -> ErrorDetail:
    return ErrorDetail("INVALID_VALUE", str(error) if error is not None else "This value is not valid.", field)


def _sentence(kind: str, error: dict[str, Any]) -> str:
    return str(error["msg"]) if kind.isupper() else "This value is not valid."


def _unknown_field(field: str | None, names: Names) -> ErrorDetail:
    name = None if field is None else field.rpartition(".")[2]
    if name in names.read_only:
        return ErrorDetail("READ_ONLY_FIELD", "This field is not for you to set.", field)
    return ErrorDetail("UNKNOWN_FIELD", "There is no such field here.", field, hint=_hint(name, names.known))


def _hint(given: object, candidates: Sequence[str]) -> str | None:
    return hint_at(closest(given, candidates)) if isinstance(given, str) else None


def _allowed(context: dict[str, Any]) -> list[str] | None:
    expected = context.get("expected")
    if not isinstance(expected, str):
        return None
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _path(location: Sequence[str | int]) -> str | None:
    parts = [str(part) for part in location]
    if parts and parts[0] in PARAMETER_LOCATIONS:
        # A list parameter is one, whichever of its values is wrong.
        return parts[1]
    if parts and parts[0] == "body":
        parts = parts[1:]
    return ".".join(parts) or None
