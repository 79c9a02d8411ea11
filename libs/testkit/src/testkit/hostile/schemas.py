"""What a JSON schema of an OpenAPI document lets one send: the fields of a body, and a value for each."""

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
Schema = dict[str, Any]

SAMPLES: dict[str, Any] = {
    "uuid": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "date": "2026-12-01",
    "date-time": "2026-12-01T09:00:00Z",
}
OF_TYPE: dict[str, Any] = {"string": "a", "integer": 1, "number": 1.5, "boolean": True, "null": None}


class Schemas:
    """The schemas of a document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document.get("components", {})

    def rooted(self, schema: Schema) -> Schema:
        """Return a schema that a validator can follow into the document's components."""
        return {**schema, "components": self._components}

    def resolved(self, schema: Schema) -> Schema:
        """Follow a reference, and leave out that a value may be null."""
        while "$ref" in schema:
            schema = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
        branches = [one for one in self._branches(schema) if one.get("type") != "null"]
        return self.resolved(branches[0]) if branches else schema

    def fields(self, schema: Schema, *, levels: int = 2) -> Iterator[tuple[Path, Schema]]:
        """Yield the fields of an object and of what is in it: objects, and objects in lists."""
        for name, of_field in self.resolved(schema).get("properties", {}).items():
            yield (name,), of_field
            if levels > 1:
                for inner in self._alternatives(of_field):
                    yield from (((name, *path), found) for path, found in self._inside(inner, levels - 1))

    def sample(self, schema: Schema) -> Any:
        """Return a value of the form that a schema asks for, whatever it stands for."""
        found = self.resolved(schema)
        for key in ("default", "const"):
            if found.get(key) is not None:
                return found[key]
        if options := found.get("examples") or found.get("enum"):
            return options[0]
        if found.get("type") == "object":
            required = found.get("required", ())
            return {name: self.sample(one) for name, one in found.get("properties", {}).items() if name in required}
        if found.get("type") == "array":
            return [self.sample(found["items"])] if "items" in found else []
        return SAMPLES.get(found.get("format", "")) or OF_TYPE.get(str(found.get("type")), "a")

    def with_value(self, schema: Schema, body: Any, path: Path, value: Any) -> Any:
        """Return a copy of a body in which something else is at a path, with what has to be around it."""
        if not path:
            return value
        name, *rest = path
        if isinstance(name, int):
            entries = list(body) if isinstance(body, list) and body else [None]
            items = self.resolved(schema).get("items", {})
            return [self.with_value(items, entries[0] or self.sample(items), tuple(rest), value), *entries[1:]]
        within = dict(body) if isinstance(body, dict) else {}
        inner = self._holding(self.resolved(schema).get("properties", {}).get(name, {}), rest)
        within[name] = self.with_value(inner, within.get(name) or self.sample(inner), tuple(rest), value)
        return within

    def _inside(self, schema: Schema, levels: int) -> Iterator[tuple[Path, Schema]]:
        if schema.get("type") == "array" and "items" in schema:
            yield (0,), schema["items"]
            yield from (((0, *path), found) for path, found in self.fields(schema["items"], levels=levels))
        elif schema.get("type") == "object":
            yield from self.fields(schema, levels=levels)

    def _holding(self, schema: Schema, rest: list[str | int]) -> Schema:
        """Return the alternative of a schema that has the next part of a path."""
        for one in self._alternatives(schema):
            if not rest or rest[0] in one.get("properties", {}) or (rest[0] == 0 and "items" in one):
                return one
        return schema

    def _alternatives(self, schema: Schema) -> list[Schema]:
        while "$ref" in schema:
            schema = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
        branches = self._branches(schema)
        return [found for one in branches for found in self._alternatives(one)] if branches else [schema]

    @staticmethod
    def _branches(schema: Schema) -> list[Schema]:
        found: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
        return found
