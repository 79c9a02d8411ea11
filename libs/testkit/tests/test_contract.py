"""What a contract lets pass and what not."""

import httpx2
import pytest
from testkit.contract import Contract, ContractViolation

THING = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}}}
REFUSALS = {
    "VERSION_CONFLICT": {"value": {"data": {"current": {"id": "…"}}}},
    "IF_MATCH_REQUIRED": {"value": {"data": None}},
}
DOCUMENT = {
    "paths": {
        "/api/v1/things/{thing_id}": {
            "get": {
                "operationId": "read_thing",
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "202": {"content": {"application/json": {}}},
                    "206": {"content": {"image/*": {}}},
                    "201": {
                        "content": {"application/json": {"schema": {}}, "text/plain": {}},
                        "headers": {"Location": {}, "ETag": {}},
                    },
                    "304": {"description": "Unchanged."},
                    "412": {"content": {"application/json": {"schema": {}, "examples": REFUSALS}}},
                },
            }
        },
        "/api/v1/things/special": {"get": {"operationId": "read_special", "responses": {"204": {}}}},
    },
    "components": {"schemas": {"Thing": THING}},
}
ID = "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1"
JSON = "application/json"


@pytest.fixture
def check():
    """Checks an answer against the document; returns what was exercised."""

    def check(method, path, status, content=b"", content_type=None):
        contract = Contract(DOCUMENT)
        headers = {"content-type": content_type} if content_type else {}
        request = httpx2.Request(method, f"http://things{path}")
        contract.check(httpx2.Response(status, content=content, headers=headers, request=request))
        return dict(contract.exercised)

    return check


@pytest.mark.parametrize(
    ("method", "status", "content", "content_type"),
    [
        ("GET", 200, b'{"id":"%s"}' % ID.encode(), JSON),
        ("GET", 200, b'{"id":"%s"}' % ID.encode(), f"{JSON}; charset=utf-8"),
        ("GET", 206, b"\x89PNG", "image/png"),
        ("GET", 304, b"", None),
        ("HEAD", 200, b"", JSON),
    ],
)
def test_an_answer_as_documented_passes_and_counts(check, method, status, content, content_type):
    assert check(method, "/api/v1/things/1", status, content, content_type) == {"read_thing": 1}


@pytest.mark.parametrize(
    ("status", "content", "content_type", "reason"),
    [
        (500, b"{}", JSON, "status 500 is not documented"),
        (200, b"{}", JSON, "'id' is a required property"),
        (200, b'{"id":"7"}', JSON, "is not a 'uuid'"),
        (200, b"hello", "text/plain", "content type 'text/plain' is not documented"),
        (200, b"", None, "content type '' is not documented"),
        (206, b"{}", JSON, "content type 'application/json' is not documented"),
        (202, b"{}", JSON, "no schema is documented"),
        (304, b"{}", JSON, "has a body, and none is documented"),
    ],
)
def test_an_answer_that_is_not_as_documented_is_a_violation(check, status, content, content_type, reason):
    with pytest.raises(ContractViolation, match=reason):
        check("GET", "/api/v1/things/1", status, content, content_type)


@pytest.mark.parametrize(
    ("headers", "missing"), [({}, "Location, ETag"), ({"location": "/"}, "ETag"), ({"etag": "1"}, "Location")]
)
def test_a_header_that_is_documented_and_missing_is_a_violation(headers, missing):
    request = httpx2.Request("GET", "http://things/api/v1/things/1")
    answer = httpx2.Response(201, content=b"{}", headers={"content-type": JSON, **headers}, request=request)
    with pytest.raises(ContractViolation, match=f"has no {missing}$"):
        Contract(DOCUMENT).check(answer)


def test_headers_are_those_of_the_json_answer(check):
    assert check("GET", "/api/v1/things/1", 201, b"a", "text/plain") == {"read_thing": 1}


def refusal(code, data="null"):
    return b'{"data":%s,"errors":[{"code":"%s"}]}' % (data.encode(), code.encode())


@pytest.mark.parametrize(
    "content",
    [
        refusal("VERSION_CONFLICT", '{"current":{"id":1}}'),
        refusal("VERSION_CONFLICT"),
        refusal("IF_MATCH_REQUIRED"),
        refusal("REQUIRED"),
        refusal("TOO_MANY"),
    ],
)
def test_a_refusal_that_is_shown_and_what_is_wrong_with_a_field_pass(check, content):
    assert check("GET", "/api/v1/things/1", 412, content, JSON) == {"read_thing": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (refusal("INVALID_CURSOR"), r"no example of \['INVALID_CURSOR'\] is documented"),
        (refusal("IF_MATCH_REQUIRED", '{"current":{}}'), r"the data of \['IF_MATCH_REQUIRED'\] is not what"),
        (refusal("VERSION_CONFLICT", '{"now":{}}'), r"the data of \['VERSION_CONFLICT'\] is not what"),
    ],
)
def test_a_refusal_that_is_not_as_its_example_is_a_violation(check, content, reason):
    with pytest.raises(ContractViolation, match=reason):
        check("GET", "/api/v1/things/1", 412, content, JSON)


def test_a_path_of_its_own_is_taken_before_a_template(check):
    assert check("GET", "/api/v1/things/special", 204) == {"read_special": 1}


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 405), ("OPTIONS", 403)])
def test_what_is_no_operation_may_be_refused(check, method, status):
    assert check(method, "/api/v1/nothing", status, b"{}", JSON) == {}


@pytest.mark.parametrize(("path", "status"), [("/api/v1/nothing", 200), ("/api/v1/nothing", 500), ("/api", 401)])
def test_an_answer_below_the_documents_prefix_that_is_no_operation_is_a_violation(check, path, status):
    with pytest.raises(ContractViolation, match=f"answered {status}, and is not documented"):
        check("GET", path, status, b"{}", JSON)


def test_paths_of_nobody_are_not_the_documents_affair(check):
    assert check("GET", "/livez", 200, b"{}", JSON) == {}
    assert check("GET", "/apiary", 200, b"{}", JSON) == {}


@pytest.mark.parametrize(
    ("method", "query", "body", "is_allowed"),
    [
        ("GET", "", None, False),
        ("GET", "?fields=id", None, True),
        ("POST", "", b'{"fields": ["id"]}', True),
        ("POST", "", b'{"fields": null}', False),
        ("POST", "", b"no JSON", False),
        ("POST", "", b"[" * 100_000, False),
    ],
)
def test_what_is_left_out_has_to_be_asked_for(method, query, body, is_allowed):
    thing = {**THING, "x-required-without-fields": ["id", "name"]}
    shown = {"200": {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Thing"}}}}}
    item = {name: {"operationId": name, "responses": shown} for name in ("get", "post")}
    contract = Contract({"paths": {"/things": item}, "components": {"schemas": {"Thing": thing}}})
    request = httpx2.Request(method, f"http://a/things{query}", content=body, headers={"content-type": JSON})
    for content, passes in ((b'{"id":"%s","name":"a"}', True), (b'{"id":"%s"}', is_allowed)):
        answer = httpx2.Response(200, content=content % ID.encode(), headers={"content-type": JSON}, request=request)
        if passes:
            contract.check(answer)
        else:
            with pytest.raises(ContractViolation, match="'name' is a required property"):
                contract.check(answer)
