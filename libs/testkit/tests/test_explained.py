"""What counts as explained, and what is found where something is missing or wrong."""

import copy

import pytest
from testkit.explained import unexplained

THING = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string", "format": "uuid"}, "name": {"type": ["string", "null"]}},
}
REFUSAL = {
    "type": "object",
    "required": ["data", "errors"],
    "properties": {
        "data": {},
        "errors": {
            "type": "array",
            "items": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}},
        },
    },
}
ID = "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1"
JSON, LINES = "application/json", "application/x-ndjson"


def refused(code, data=None):
    value = {"data": data, "errors": [{"code": code}]}
    return {
        "description": "Refused.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": {code: {"value": value}}}},
    }


OPERATION = {
    "operationId": "change_thing",
    "summary": "Change a thing",
    "description": "Changes what it is called.",
    "parameters": [{"in": "path", "name": "thing_id", "description": "Id of the thing."}],
    "requestBody": {
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Thing"}, "example": {"id": ID, "name": None}}}
    },
    "responses": {
        "200": {
            "description": "The thing.",
            "content": {
                JSON: {
                    "schema": {"$ref": "#/components/schemas/Thing"},
                    "examples": {"one": {"value": {"id": ID}}, "other": {"value": {"id": ID, "name": "it"}}},
                },
                LINES: {"schema": {"type": "string"}, "example": '{"id": 1}\n{"id": 2}\n'},
            },
        },
        "204": {"description": "Changed; nothing more is said."},
        "412": refused("VERSION_CONFLICT", {"current": {"id": ID, "version": 8}}),
        "422": refused("VALIDATION_FAILED"),
    },
}
OK, STALE, INVALID = (("responses", status) for status in ("200", "412", "422"))
BODY = ("requestBody", "content", JSON)
SHOWN = (*OK, "content", JSON)
CASES = [
    (("summary",), "", "no summary"),
    (("description",), " ", "no description"),
    (("parameters", 0, "description"), "", "path parameter thing_id: no description"),
    ((*BODY, "example"), {"name": "it"}, "body: example example: $: 'id' is a required property"),
    ((*BODY, "example"), {"id": "7"}, "body: example example: $.id: '7' is not a 'uuid'"),
    ((*BODY, "example"), {"id": ID, "name": 7}, "body: example example: $.name: 7 is not of type"),
    (BODY, {"schema": {"type": "object"}, "examples": {}}, "body: no example"),
    (BODY, {"example": {}}, "body: no schema"),
    ((*OK, "description"), "", "200: no description"),
    ((*SHOWN, "examples"), {}, f"200: {JSON}: no example"),
    ((*SHOWN, "examples", "other", "value"), {}, f"200: {JSON}: example other: $: 'id' is a required property"),
    ((*OK, "content", LINES, "example"), "[]\n", f"200: {LINES}: example example: not every line is an object"),
    (INVALID, {"description": "Refused."}, "422: no example"),
    ((*INVALID, "content", JSON, "examples"), {}, "422: no example"),
    (INVALID, refused("VALIDATION_FAILED") | {"content": {JSON: {}}}, "422: no example"),
    ((*STALE, "content", JSON, "examples", "VERSION_CONFLICT", "value", "data"), None, "no resource in data.current"),
    (STALE, refused("VERSION_CONFLICT", {"current": {"version": 8}}), "no resource in data.current"),
]


def document_of(operation):
    return {
        "paths": {"/api/v1/things/{thing_id}": {"patch": operation}},
        "components": {"schemas": {"Thing": THING, "Refusal": REFUSAL}},
    }


def test_an_operation_with_all_of_it_is_explained():
    assert unexplained(document_of(OPERATION)) == []


@pytest.mark.parametrize(("place", "value", "finding"), CASES)
def test_what_is_missing_or_wrong_is_found(place, value, finding):
    operation = copy.deepcopy(OPERATION)
    *way, last = place
    target = operation
    for step in way:
        target = target[step]
    target[last] = value
    [found] = unexplained(document_of(operation))
    assert found.startswith("PATCH /api/v1/things/{thing_id}: ")
    assert finding in found


def test_an_example_that_shows_what_is_no_more_is_found():
    operation = copy.deepcopy(OPERATION)
    operation["responses"]["200"]["content"][JSON]["examples"]["one"]["value"]["colour"] = "red"
    [found] = unexplained(document_of(operation))
    assert "Additional properties are not allowed ('colour' was unexpected)" in found


def test_an_example_under_another_code_is_found():
    operation = copy.deepcopy(OPERATION)
    operation["responses"]["409"] = refused("LABEL_EXISTS")
    examples = operation["responses"]["409"]["content"][JSON]["examples"]
    examples["LABEL_TAKEN"] = examples.pop("LABEL_EXISTS")
    assert unexplained(document_of(operation)) == [
        "PATCH /api/v1/things/{thing_id}: 409: example LABEL_TAKEN: has another code"
    ]


def test_an_example_that_is_kept_once_for_all_is_looked_at():
    operation = copy.deepcopy(OPERATION)
    examples = operation["responses"]["422"]["content"][JSON]["examples"]
    document = document_of(operation)
    document["components"]["examples"] = {"kept": examples["VALIDATION_FAILED"]}
    examples["VALIDATION_FAILED"] = {"$ref": "#/components/examples/kept"}
    assert unexplained(document) == []
    document["components"]["examples"]["kept"] = {"value": {"errors": []}}
    assert unexplained(document) == [
        "PATCH /api/v1/things/{thing_id}: 422: example VALIDATION_FAILED: $: 'data' is a required property"
    ]
