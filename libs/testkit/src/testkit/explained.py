"""A guard that every operation of a document is explained: described, and shown with examples that are true to it.

A service's `tests/test_guards.py` has it in one line:

    assert unexplained(openapi_document()) == []

Each entry says where something is missing or wrong. Nothing is exempt.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

JSON = "application/json"
LINES = "application/x-ndjson"
CONFLICT = "412"

Document = Mapping[str, Any]


def unexplained(document: Document) -> list[str]:
    """Return what is missing or wrong in the explanation of the document's operations."""
    closed = _closed(document)
    return [
        f"{method.upper()} {path}: {finding}"
        for path, item in closed["paths"].items()
        for method, operation in item.items()
        for finding in _of_operation(closed, operation)
    ]


def _closed(value: Any) -> Any:
    """Return a document whose objects have their properties and no others, so that no example shows what is no more."""
    if isinstance(value, list):
        return [_closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: one if name in ("example", "examples") else _closed(one) for name, one in value.items()}
    is_open = value.get("type") == "object" and "properties" in value and "additionalProperties" not in value
    return {**inner, "additionalProperties": False} if is_open else inner


def _of_operation(document: Document, operation: Document) -> Iterator[str]:
    yield from (f"no {name}" for name in ("summary", "description") if not operation.get(name, "").strip())
    for parameter in operation.get("parameters", []):
        if not parameter.get("description", "").strip():
            yield f"{parameter['in']} parameter {parameter['name']}: no description"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"body: {finding}" for finding in _of_content(document, media_type, content))
    for status, response in operation["responses"].items():
        check = _of_refusal if status >= "4" else _of_success
        yield from (f"{status}: {finding}" for finding in check(document, response))
    if CONFLICT in operation["responses"]:
        yield from (f"{CONFLICT}: {finding}" for finding in _of_conflict(document, operation["responses"][CONFLICT]))


def _of_success(document: Document, response: Document) -> Iterator[str]:
    if not response.get("description", "").strip():
        yield "no description"
    for media_type, content in response.get("content", {}).items():
        yield from (f"{media_type}: {finding}" for finding in _of_content(document, media_type, content))


def _of_content(document: Document, media_type: str, content: Document) -> Iterator[str]:
    examples = examples_of(document, content)
    if not examples:
        yield "no example"
    if media_type == JSON and not content.get("schema"):
        yield "no schema"
    for name, value in examples.items():
        yield from (f"example {name}: {finding}" for finding in _against_schema(document, content, value))
        if media_type == LINES and not all(isinstance(json.loads(line), dict) for line in value.splitlines()):
            yield f"example {name}: not every line is an object"


def _of_refusal(document: Document, response: Document) -> Iterator[str]:
    """Refusals have an example a code, named after it; VALIDATION_FAILED stands for all codes of single fields."""
    content = response.get("content", {}).get(JSON, {})
    examples = examples_of(document, content)
    if not examples:
        yield "no example"
    for code, value in examples.items():
        yield from (f"example {code}: {finding}" for finding in _against_schema(document, content, value))
        if code not in {entry["code"] for entry in value["errors"]} | {"VALIDATION_FAILED"}:
            yield f"example {code}: has another code"


def _of_conflict(document: Document, response: Document) -> Iterator[str]:
    """A version conflict shows what is there now, as the answer does."""
    for code, value in examples_of(document, response["content"][JSON]).items():
        if set((value["data"] or {}).get("current") or {}) <= {"version"}:
            yield f"example {code}: no resource in data.current"


def examples_of(document: Document, content: Document) -> dict[str, Any]:
    """Return the values by name; some are kept once for all operations."""
    if "example" in content:
        return {"example": content["example"]}
    kept = document.get("components", {}).get("examples", {})
    named = content.get("examples", {}).items()
    return {name: (kept[one["$ref"].rpartition("/")[2]] if "$ref" in one else one)["value"] for name, one in named}


def _against_schema(document: Document, content: Document, value: Any) -> Iterator[str]:
    rooted = {**content.get("schema", {}), "components": document.get("components", {})}
    validator = Draft202012Validator(rooted, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for error in validator.iter_errors(value):
        yield f"{error.json_path}: {error.message[:200]}"
