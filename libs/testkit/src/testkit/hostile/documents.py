"""Requests that nobody sends by accident, for any operation of an OpenAPI document, made from a valid one.

What an operation takes is read from the document, so a new field, parameter or operation is attacked without anybody
having to think of it. An attack `refused` has to be a 4xx, because of what it is or because the document's own schema
says so; the others may be either, and never a crash.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import orjson
from jsonschema import Draft202012Validator

from testkit.hostile.schemas import Path, Schema, Schemas
from testkit.hostile.values import (
    BODIES,
    BROKEN,
    DATES,
    IN_PATH,
    IN_QUERY,
    MARKER,
    OF_LISTS,
    OF_NUMBERS,
    OUT_OF_RANGE,
    REFUSED_HEADERS,
    STRANGE_HEADERS,
    TYPES,
    UNKNOWN,
    VALUES,
)

JSON = "application/json"
PLACE = "\x01here\x01"
UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FORMATS = Draft202012Validator.FORMAT_CHECKER


@dataclass(frozen=True)
class Asked:
    """A request that is right, of which attacks are made; `path` may have a query."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attack:
    """One request that is not right. `about` are the fields and parameters that a 422 has to name.

    What has several wrong fields stands for its `parts`, which are sent when it is not refused for all of them.
    """

    name: str
    path: str
    content: bytes | None
    headers: dict[str, bytes]
    refused: bool = False
    about: tuple[str, ...] = ()
    parts: tuple["Attack", ...] = ()


def moved(attack: Attack, asked: Asked, to: Asked) -> Attack:
    """Return an attack on what was asked for as one on the same of other objects: ids instead of ids."""
    content = attack.content
    path = attack.path
    for old, new in zip(_ids(asked), _ids(to), strict=True):
        path = path.replace(old, new)
        content = content and content.replace(old.encode(), new.encode())
    parts = tuple(moved(part, asked, to) for part in attack.parts)
    return replace(attack, path=path, content=content, parts=parts)


def _ids(asked: Asked) -> list[str]:
    return UUID_TEXT.findall(f"{asked.path} {asked.body}")


class Attacks:
    """Makes the attacks on the operations of a document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = Schemas(document)
        self._validators: dict[int, Draft202012Validator] = {}
        self.methods = {
            operation["operationId"]: method.upper()
            for item in document["paths"].values()
            for method, operation in item.items()
        }
        self.operations: dict[str, tuple[str, dict[str, Any]]] = {
            operation["operationId"]: (path, operation)
            for path, item in document["paths"].items()
            for operation in item.values()
        }

    def asked(self, operation_id: str, **path: str) -> Asked:
        """Return a request of the form that an operation asks for, about nothing but what is named for the path."""
        template, operation = self.operations[operation_id]
        samples = {one["name"]: str(self._schemas.sample(one["schema"])) for one in _parameters(operation, "path")}
        filled = template.format(**{**samples, **{name: path[name] for name in samples.keys() & path.keys()}})
        schema = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
        method = self.methods[operation_id]
        headers = {"if-match": "*"} if method == "PUT" else {}
        return Asked(method, filled, None if schema is None else self._schemas.sample(schema), headers)

    def on(self, operation_id: str, asked: Asked) -> list[Attack]:
        """Return the attacks on an operation: first all that have to be refused."""
        template, operation = self.operations[operation_id]
        found = [
            *self._by_body(operation, asked),
            *self._by_query(operation, asked),
            *_by_path(template, operation, asked),
            *_by_header(operation, asked),
        ]
        return sorted(found, key=lambda attack: not attack.refused)

    def _by_body(self, operation: dict[str, Any], asked: Asked) -> Iterator[Attack]:
        declared = operation.get("requestBody", {})
        schema = declared.get("content", {}).get(JSON, {}).get("schema")
        if schema is None:
            if asked.method != "GET" and not declared:
                yield _attack(asked, "a body that is not asked for", content=b"{" + MARKER.encode())
            return
        optional = not declared.get("required")
        yield _attack(asked, "no body", content=b"", refused=not optional)
        for name, content in BODIES.items():
            yield _attack(asked, f"body: {name}", content=content, refused=not (optional and name == "null"))
        for headers in TYPES:
            yield _attack(asked, f"body: {headers}", headers=headers, refused=True)
        if self._schemas.resolved(schema).get("additionalProperties") is False:
            unknown = {**(asked.body or {}), UNKNOWN: MARKER}
            yield _attack(asked, "unknown field", content=_json(unknown), refused=True, about=(UNKNOWN,))
        yield from self._by_fields(asked, schema)

    def _by_fields(self, asked: Asked, schema: Schema) -> Iterator[Attack]:
        groups: dict[Path, dict[Path, Schema]] = {}
        for path, of_field in self._schemas.fields(schema):
            groups.setdefault(path[:-1], {})[path] = of_field
            yield from self._unreadable(asked, schema, path)
        for group in groups.values():
            many = {path: found for path, of_field in group.items() if (found := self._many(of_field))}
            yield from self._together(asked, schema, "many right entries", many)
            for kind, value in VALUES.items():
                yield from self._together(asked, schema, kind, dict.fromkeys(group, value))
            dated = [path for path, of_field in group.items() if "date" in str(of_field)]
            for text in DATES:
                yield from self._together(asked, schema, f"the date {text}", dict.fromkeys(dated, text))

    def _unreadable(self, asked: Asked, schema: Schema, path: Path) -> Iterator[Attack]:
        name = _dotted(path)
        around = _json(self._schemas.with_value(schema, asked.body, path, PLACE))
        for kind, raw in {**BROKEN, **OUT_OF_RANGE}.items():
            about = (name,) if kind == "NUL" else ()
            content = around.replace(_json(PLACE), raw)
            yield _attack(asked, f"{name}: {kind}", content=content, refused=True, about=about)
        if isinstance(path[-1], str):
            twice = around.replace(_json(PLACE), b"1," + _json(path[-1]) + b":2")
            yield _attack(asked, f"{name}: twice", content=twice, refused=True)

    def _together(self, asked: Asked, schema: Schema, kind: str, values: dict[Path, Any]) -> Iterator[Attack]:
        """Yield what the document refuses as one attack of many parts, and one by one what it does not."""
        wrong: list[Attack] = []
        body = asked.body
        for path, value in values.items():
            alone = self._schemas.with_value(schema, asked.body, path, value)
            is_wrong = not self._validator(schema, path[0]).is_valid(alone[path[0]])
            name = _dotted(path)
            about = (name,) if is_wrong else ()
            attack = _attack(asked, f"{name}: {kind}", content=_json(alone), refused=is_wrong, about=about)
            if is_wrong:
                wrong.append(attack)
                body = self._schemas.with_value(schema, body, path, value)
            else:
                yield attack
        yield from _as_one(asked, kind, wrong, content=_json(body))

    def _validator(self, schema: Schema, name: str | int) -> Draft202012Validator:
        """Return what checks a field of a body."""
        found = self._schemas.resolved(schema)["properties"][name]
        if id(found) not in self._validators:
            rooted = self._schemas.rooted(found)
            self._validators[id(found)] = Draft202012Validator(rooted, format_checker=FORMATS)
        return self._validators[id(found)]

    def _many(self, of_field: Schema) -> list[Any]:
        """Return too many entries, each of which is right."""
        found = self._schemas.resolved(of_field)
        is_list = found.get("type") == "array" and "items" in found
        return [self._schemas.sample(found["items"])] * 300 if is_list else []

    def _by_query(self, operation: dict[str, Any], asked: Asked) -> Iterator[Attack]:
        yield _attack(asked, "unknown parameter", query={MARKER: "1"}, refused=True, about=(MARKER,))
        yield _attack(asked, "many parameters", query={f"{MARKER}{number}": "1" for number in range(500)}, refused=True)
        wrong: dict[str, list[tuple[str, str, Attack]]] = {}
        for parameter in _parameters(operation, "query"):
            name, schema = parameter["name"], parameter["schema"]
            for kind, text in self._texts(schema).items():
                is_cursor = name.endswith("cursor") and kind != "empty"
                is_wrong = is_cursor or kind == "NUL" or _is_wrong_text(schema, text)
                about = (name,) if is_wrong else ()
                attack = _attack(asked, f"?{name}: {kind}", query={name: text}, refused=is_wrong, about=about)
                if is_wrong and not is_cursor:
                    wrong.setdefault(kind, []).append((name, text, attack))
                else:
                    yield attack
            if not _is_list(schema):
                value = quote(str(self._schemas.sample(schema)), safe="")
                query = {name: f"{value}&{name}={value}"}
                yield _attack(asked, f"?{name}: twice", query=query, refused=True, about=(name,))
        for kind, found in wrong.items():
            query = {name: text for name, text, _ in found}
            yield from _as_one(asked, kind, [attack for _, _, attack in found], query=query)

    def _texts(self, schema: Schema) -> dict[str, str]:
        """Return what a query parameter is attacked with."""
        found = {**IN_QUERY, "NUL": f"{MARKER}%00"}
        if "integer" in str(schema) or "date-time" in str(schema):
            found |= OF_NUMBERS
        if "date-time" in str(schema):
            found |= {f"the date {one}": quote(one) for one in DATES}
        return found | (OF_LISTS if _is_list(schema) else {})


def _by_path(template: str, operation: dict[str, Any], asked: Asked) -> Iterator[Attack]:
    own, _, query = asked.path.partition("?")
    pattern = re.sub(r"\\\{([^}]+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    found = re.fullmatch(pattern, own)
    if found is None:
        raise ValueError(f"{own} is not a path of {template}")
    for parameter in _parameters(operation, "path"):
        begin, end = found.span(parameter["name"])
        for kind, text in IN_PATH.items():
            path = own[:begin] + text + own[end:] + (f"?{query}" if query else "")
            wrong = "%00" in text or _is_wrong_text(parameter["schema"], text)
            yield _attack(asked, f"/{parameter['name']}: {kind}", path=path, refused=wrong)


def _by_header(operation: dict[str, Any], asked: Asked) -> Iterator[Attack]:
    declared = {parameter["name"].lower() for parameter in _parameters(operation, "header")}
    for name in sorted(declared & REFUSED_HEADERS.keys()):
        for value in REFUSED_HEADERS[name]:
            yield _attack(asked, f"{name}: {value[:40]!r}", headers={name: value}, refused=True)
    if "if-match" in declared:
        yield _attack(asked, "if-match: 10^20", headers={"if-match": b'"99999999999999999999"'})
    for headers in STRANGE_HEADERS:
        yield _attack(asked, f"strange {', '.join(headers)}", headers=headers)


def _as_one(asked: Asked, kind: str, attacks: list[Attack], **sent: Any) -> Iterator[Attack]:
    """Yield the attacks as one that sends all of them at once, when there are several."""
    if len(attacks) == 1:
        yield attacks[0]
    elif attacks:
        about = tuple(name for attack in attacks for name in attack.about)
        one = _attack(asked, f"{', '.join(about)}: {kind}", refused=True, about=about, **sent)
        yield replace(one, parts=tuple(attacks))


def _attack(
    asked: Asked,
    name: str,
    *,
    path: str | None = None,
    query: dict[str, str] | None = None,
    content: bytes | None = None,
    headers: dict[str, Any] | None = None,
    refused: bool = False,
    about: tuple[str, ...] = (),
) -> Attack:
    body = content if content is not None or asked.body is None else _json(asked.body)
    typed = {"content-type": JSON} if body is not None else {}
    given = {**typed, **asked.headers, **(headers or {})}
    as_bytes = {key: value.encode() if isinstance(value, str) else value for key, value in given.items()}
    return Attack(name, _with_query(path or asked.path, query or {}), body, as_bytes, refused, about)


def _with_query(path: str, query: dict[str, str]) -> str:
    """Return a path with some parameters instead of its own of the same names; values are as they go over the wire."""
    own, _, given = path.partition("?")
    kept = [one for one in given.split("&") if one and one.partition("=")[0] not in query]
    pairs = [*kept, *(f"{name}={value}" for name, value in query.items())]
    return f"{own}?{'&'.join(pairs)}" if pairs else own


def _parameters(operation: dict[str, Any], where: str) -> list[dict[str, Any]]:
    return [one for one in operation.get("parameters", ()) if one["in"] == where]


def _is_list(schema: Schema) -> bool:
    return any(one.get("type") == "array" for one in schema.get("anyOf", [schema]))


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def _is_wrong_text(schema: Schema, text: str) -> bool:
    """Tell whether the schema of a parameter surely refuses a text; what it could be read as is left open."""
    branches = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return all(_is_wrong_for(one, text) for one in branches)


def _is_wrong_for(schema: Schema, text: str) -> bool:
    if schema.get("type") == "integer":
        return not (re.fullmatch(r"-?[0-9]{1,30}", text) and Draft202012Validator(schema).is_valid(int(text)))
    if schema.get("type") != "string" or "%" in text:
        return False
    if schema.get("format") == "uuid":
        return not UUID_TEXT.fullmatch(text)
    return not Draft202012Validator(schema, format_checker=FORMATS).is_valid(text)


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
