"""Around every request: ids, refusals as envelopes that echo nothing (R27, R28), strict parameters (R31), headers."""

import json
import re
from uuid import UUID

import pytest
from chassis.errors import AppError, ErrorDetail
from chassis.web.envelope import failure_body
from chassis.web.middleware import context_from
from chassis.web.validation import invalid_input
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

NOTES = "/api/v1/notes"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def code_of(answer):
    return answer.json()["errors"][0]["code"]


def entries(answer):
    return [(entry["field"], entry["code"]) for entry in answer.json()["errors"]]


@pytest.mark.parametrize("given_id", ["my-request-1", "A.b_c-12", "x" * 64])
async def test_an_acceptable_request_id_comes_back_everywhere(api, given_id):
    answer = await api.get(f"{NOTES}/nothing", headers={"x-request-id": given_id})
    assert answer.headers["x-request-id"] == answer.json()["meta"]["request_id"] == given_id


@pytest.mark.parametrize("given_id", ["", "short", "x" * 65, "bad id!!", "line\tbreak", "ünïcödé-1".encode()])
async def test_another_request_id_is_replaced(api, given_id):
    answer = await api.get(f"{NOTES}/nothing", headers={"x-request-id": given_id})
    assert answer.headers["x-request-id"] == answer.json()["meta"]["request_id"]
    assert UUID7.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("203.0.113.07", None),
        ("203.0.113.7, 192.0.2.1", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_of_a_client_is_read_when_it_is_asked_for(told, address):
    context = context_from([] if told is None else [(b"x-client-address", told.encode("latin-1"))])
    assert "client_address" not in vars(context)
    assert context.client_address == address
    assert vars(context)["client_address"] == address


@pytest.mark.parametrize(
    ("told", "device"),
    [
        ("Firefox", "Firefox"),
        ("Fire\tfox\x7f", "Firefox"),
        ("x" * 300, "x" * 200),
        ("\x80\x1f", None),
        ("", None),
        (None, None),
    ],
)
def test_what_a_client_calls_itself_is_read_when_it_is_asked_for(told, device):
    context = context_from([] if told is None else [(b"user-agent", told.encode("latin-1"))])
    assert "client_device" not in vars(context)
    assert context.client_device == device
    assert vars(context)["client_device"] == device


async def test_r65_a_request_is_told_of_in_one_line(api, lines_of_requests):
    ids = {"x-request-id": "my-request-1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    await api.get(f"{NOTES}/{UUID(int=1)}", headers=ids)
    [line] = lines_of_requests()
    assert line.pop("ms") >= 0
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "request.served",
        "method": "GET",
        "route": f"{NOTES}/{{note_id}}",
        "status": 404,
        "level": "info",
        "service": "sample",
        "request_id": "my-request-1",
        "trace_id": "ab" * 16,
    }


async def test_r34_every_answer_has_the_security_headers(api):
    for answer in (await api.get(NOTES), await api.get("/nothing"), await api.get("/livez")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in answer.headers
    assert (await api.get(NOTES)).headers["cache-control"] == "private, no-cache"
    assert (await api.get("/nothing")).headers["cache-control"] == "no-store"


async def test_head_is_answered_as_get_without_the_body(api):
    got, head = await api.get(NOTES), await api.head(NOTES)
    assert (head.status_code, head.content) == (200, b"")
    assert len(got.content) > 0
    assert head.headers["content-length"] == str(len(got.content))
    refused = await api.head(f"{NOTES}/{UUID(int=1)}")
    assert (refused.status_code, refused.content) == (404, b"")


async def test_r27_a_crash_is_a_bare_500_with_the_request_id(api):
    answer = await api.post("/api/v1/crash", headers={"x-request-id": "my-request-1"})
    assert answer.status_code == 500
    message = "Something went wrong on our side."
    assert answer.json() == {
        "success": False,
        "data": None,
        "message": message,
        "errors": [{"field": None, "code": "INTERNAL_ERROR", "message": message}],
        "meta": {"request_id": "my-request-1"},
    }
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_r27_unknown_routes_and_methods_are_refused_in_the_envelope(api):
    missing = await api.get("/api/v1/nothing")
    assert (missing.status_code, code_of(missing)) == (404, "NOT_FOUND")
    for path, allowed in ((NOTES, "GET, HEAD, POST"), (f"{NOTES}/{UUID(int=1)}", "DELETE, GET, HEAD, PATCH, PUT")):
        wrong = await api.options(path)
        assert (wrong.status_code, code_of(wrong), wrong.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", allowed)
    wrong = await api.post("/livez")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")


async def test_r21_401_without_an_identity_and_nothing_else_is_believed(api, caller):
    for headers in ({}, {"authorization": f"Bearer {caller['x-taskloom-identity']}"}, {"x-user-id": "1"}):
        answer = await api.get(NOTES, headers={"x-taskloom-identity": "", **headers})
        assert (answer.status_code, code_of(answer)) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_r21_what_is_for_services_is_not_there_for_users(api, test_gateway):
    refused = await api.get("/api/v1/internal")
    assert (refused.status_code, code_of(refused)) == (404, "NOT_FOUND")
    service = test_gateway.service_headers()
    assert (await api.get("/api/v1/internal", headers=service)).status_code == 200
    assert (await api.get(NOTES, headers=service)).status_code == 401


async def test_an_id_that_cannot_be_one_is_404_like_one_that_nobody_has(api):
    answers = [await api.get(f"{NOTES}/{name}", headers={"x-request-id": "same-one"}) for name in ("x", UUID(int=1))]
    assert answers[0].status_code == 404
    assert answers[0].content == answers[1].content


async def test_a_name_that_a_path_gives_is_told_as_a_field_and_names_nothing_elsewhere(api):
    path = f"{NOTES}/by-name/NOT"
    for query, more in (("", []), ("?zz=1", [("zz", "UNKNOWN_PARAMETER")])):
        answer = await api.put(f"{path}{query}", json={"title": 1})
        told = [*more, ("name", "INVALID_FORMAT"), ("title", "WRONG_TYPE")]
        assert (answer.status_code, sorted(entries(answer))) == (422, sorted(told))
    answer = await api.get(path)
    assert (answer.status_code, entries(answer)) == (404, [(None, "NOT_FOUND")])


async def test_r30_what_a_resource_shows_and_nobody_sets_is_read_only(api):
    answer = await api.patch(f"{NOTES}/{UUID(int=1)}", json={"id": "x", "colour": "x"})
    assert entries(answer) == [("id", "READ_ONLY_FIELD"), ("colour", "UNKNOWN_FIELD")]


async def test_r28_all_errors_at_once_and_never_the_input(api):
    body = {"title": "hunter2" * 9, "size": "hunter2", "parent_id": "hunter2", "due": "hunter2"}
    answer = await api.post(NOTES, json=body)
    assert answer.status_code == 422
    assert entries(answer) == [
        ("title", "TOO_LONG"),
        ("size", "WRONG_TYPE"),
        ("parent_id", "INVALID_ID"),
        ("due", "INVALID_FORMAT"),
    ]
    assert b"hunter2" not in answer.content
    assert all(set(entry) <= {"field", "code", "message", "hint", "allowed"} for entry in answer.json()["errors"])


async def test_r30_an_unknown_field_gets_a_hint(api):
    answer = await api.post(NOTES, json={"titel": "a"})
    assert entries(answer) == [("title", "REQUIRED"), ("titel", "UNKNOWN_FIELD")]
    assert answer.json()["errors"][1]["hint"] == "did you mean title?"


async def test_r30_a_long_name_is_not_compared_with_others(api):
    answer = await api.post(NOTES, json={"title": "a", "titl" * 17: 1, "titl" * 200_000: 1})
    assert [(entry["code"], "hint" in entry) for entry in answer.json()["errors"]] == [("UNKNOWN_FIELD", False)] * 2
    assert len(answer.content) < 1_000


async def test_r28_of_very_many_errors_fifty_are_told(api):
    answer = await api.post(NOTES, json={f"f{number}": 1 for number in range(9_000)})
    assert entries(answer)[:2] == [("title", "REQUIRED"), ("f0", "UNKNOWN_FIELD")]
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 50)
    query = "&".join(f"f{number}=1" for number in range(1_000))
    answer = await api.get(f"{NOTES}?{query}")
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 50)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null"])
async def test_422_a_body_that_is_no_object(api, body):
    answer = await api.post(NOTES, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


async def test_no_body_is_an_empty_one_where_no_field_has_to_be_there(api):
    path = f"{NOTES}/{UUID(int=1)}"
    for body in (b"", b"{}"):
        answer = await api.patch(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["meta"]["named"]) == (200, [])
    assert (await api.patch(path, json={"title": "a"})).json()["meta"]["named"] == ["title"]
    assert entries(await api.patch(f"{path}?zz=1")) == [("zz", "UNKNOWN_PARAMETER")]
    for refused in (await api.put(path), await api.put(f"{path}?zz=1")):
        assert (refused.status_code, entries(refused)[-1]) == (422, (None, "REQUIRED"))
        assert refused.json()["errors"][-1]["message"] == "This request needs a body: a JSON object."


async def test_422_without_a_body_and_415_with_one_of_another_kind(api):
    assert (await api.post(NOTES)).status_code == 422
    for headers in ({"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}):
        answer = await api.post(NOTES, content=b'{"title":"a"}', headers=headers)
        assert (answer.status_code, code_of(answer)) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def chunks(count):
    for _ in range(count):
        yield b" " * 65536


@pytest.mark.parametrize("declared", [True, False])
async def test_r16_413_a_body_of_more_than_1_mib_in_the_envelope(api, rows, declared):
    body = b'{"title":"' + b"x" * 1024 * 1024 + b'"}' if declared else chunks(17)
    answer = await api.post(NOTES, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, code_of(answer)) == (413, "PAYLOAD_TOO_LARGE")
    assert await rows("SELECT count(*) FROM notes.note") == [(0,)]


async def test_r16_a_large_body_that_nobody_reads_does_not_change_the_answer(api):
    answer = await api.request("GET", NOTES, content=b" " * 2_000_000)
    assert (answer.status_code, answer.json()["success"]) == (200, True)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"title":', 400, "MALFORMED_JSON"),
        (b'{"title":NaN}', 400, "MALFORMED_JSON"),
        (b'{"title":"\\ud800"}', 400, "MALFORMED_JSON"),
        (b'{"title":"a","title":"b"}', 400, "MALFORMED_JSON"),
        (b"[" * 1000 + b"{}" + b"]" * 1000, 400, "MALFORMED_JSON"),
        (b'{"title":"a","size":123456789012345678901234}', 422, "NUMBER_OUT_OF_RANGE"),
        (b'{"title":"a","size":1e3}', 422, "WRONG_TYPE"),
        (b'{"title":"a","due":"0001-01-01T00:00:00+01:00"}', 201, None),
    ],
)
async def test_r29_bodies_over_the_wire(api, body, status, code):
    answer = await api.post(NOTES, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert code is None or code_of(answer) == code


async def test_r31_every_unknown_and_every_repeated_parameter_is_named(api):
    answer = await api.get(f"{NOTES}?per_pag=5&page=1&page=2&colour=a&colour=b&zzz=1&cursor=%00")
    assert answer.status_code == 422
    known = ["colour", "cursor", "old", "page", "per_page", "shade"]
    assert answer.json()["errors"] == [
        {
            "field": "per_pag",
            "code": "UNKNOWN_PARAMETER",
            "message": "There is no such query parameter here.",
            "hint": "did you mean per_page?",
            "allowed": known,
        },
        {"field": "page", "code": "REPEATED_PARAMETER", "message": "This parameter may be given only once."},
        {
            "field": "zzz",
            "code": "UNKNOWN_PARAMETER",
            "message": "There is no such query parameter here.",
        },
        {"field": "cursor", "code": "NULL_CHARACTER", "message": "Text must not contain the character U+0000."},
    ]


@pytest.mark.parametrize("query", ["shade=dark&shade=light", "shade=dark,light"])
async def test_r31_a_list_parameter_may_be_repeated_or_joined_by_commas(api, query):
    answer = await api.get(f"{NOTES}?{query}")
    assert (answer.status_code, answer.json()["meta"]["shade"]) == (200, ["dark", "light"])


async def test_r31_a_list_parameter_is_told_once_by_its_name(api):
    answer = await api.get(f"{NOTES}?shade=dark,lights,blue,")
    assert answer.status_code == 422
    told = {"field": "shade", "code": "NOT_ALLOWED", "message": "This is not one of the allowed values."}
    allowed = {"allowed": ["dark", "light"]}
    assert answer.json()["errors"] == [{**told, "hint": "did you mean light?", **allowed}, {**told, **allowed}]


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("false", False)])
async def test_r30_a_flag_is_true_or_false(api, text, meant):
    answer = await api.get(f"{NOTES}?old={text}")
    assert (answer.status_code, answer.json()["meta"]["old"]) == (200, meant)


@pytest.mark.parametrize("text", ["", "1", "0", "True", "TRUE", "yes", "on", "t", "true ", "null"])
async def test_r30_a_flag_is_nothing_that_only_looks_like_it(api, text):
    answer = await api.get(f"{NOTES}?old={text}")
    assert (answer.status_code, entries(answer)) == (422, [("old", "WRONG_TYPE")])


async def test_r31_an_operation_without_parameters_takes_none(api):
    answer = await api.post(f"{NOTES}?title=a", json={"title": "a"})
    assert entries(answer) == [("title", "UNKNOWN_PARAMETER")]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("zz=1&page=0", [("zz", "UNKNOWN_PARAMETER"), ("page", "TOO_SMALL")]),
        ("page=1&page=0&old=1", [("page", "REPEATED_PARAMETER"), ("old", "WRONG_TYPE")]),
        ("page=0&old=1&shade=x", [("page", "TOO_SMALL"), ("shade", "NOT_ALLOWED"), ("old", "WRONG_TYPE")]),
        ("page=1&cursor=&old=1&zz=1", [("zz", "UNKNOWN_PARAMETER"), ("old", "WRONG_TYPE")]),
        ("page=1&cursor=&old=1", [("page", "PAGE_AND_CURSOR"), ("old", "WRONG_TYPE")]),
        ("page=999&per_page=100&old=1", [("page", "PAGE_TOO_DEEP"), ("old", "WRONG_TYPE")]),
    ],
)
async def test_r28_what_is_wrong_with_parameters_is_told_at_once(api, query, told):
    answer = await api.get(f"{NOTES}?{query}")
    assert (answer.status_code, entries(answer)) == (422, told)


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"title":1,"zz":1}', 422, [("title", "WRONG_TYPE"), ("zz", "UNKNOWN_FIELD")]),
        (b'{"title":"a"}', 422, []),
        (b"", 422, [(None, "REQUIRED")]),
        (b"[]", 422, [(None, "WRONG_TYPE")]),
        (b'{"title":"a\\u0000"}', 422, [("title", "NULL_CHARACTER")]),
        (b'{"title":', 400, None),
    ],
)
async def test_r28_an_unknown_parameter_hides_nothing_of_the_body(api, body, status, told):
    answer = await api.post(f"{NOTES}?foo=1", content=body, headers={"content-type": "application/json"})
    unparsable = [(None, "MALFORMED_JSON")]
    assert answer.status_code == status
    assert entries(answer) == (unparsable if told is None else [("foo", "UNKNOWN_PARAMETER"), *told])


class Nested(BaseModel):
    count: int = Field(ge=1)


class Outer(BaseModel):
    items: list[Nested]


def test_a_place_deep_in_the_body_is_a_dotted_path():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"items": [{"count": 1}, {"count": 0}]})
    found = invalid_input(caught.value.errors())
    assert [(entry.field, entry.code, entry.message) for entry in found.details] == [
        ("items.1.count", "TOO_SMALL", "This must be at least 1.")
    ]


ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@given(message=ANY_TEXT, field=ANY_TEXT, hint=ANY_TEXT)
def test_r28_texts_are_clean_and_at_most_200_characters(message, field, hint):
    detail = ErrorDetail("CODE", message, field, hint=hint, allowed=[message])
    entry = json.loads(failure_body(AppError(message, details=[detail])))["errors"][0]
    for text in (entry["message"], entry["field"], entry["hint"], *entry["allowed"]):
        assert len(text) <= 200
        assert text.isprintable()


def test_r28_controls_and_surrogates_are_dropped_and_the_rest_stays():
    body = failure_body(AppError("a\r\nb\0\ud800\x1b[31mc grüße 漢字" + "x" * 300))
    assert json.loads(body)["message"] == ("ab[31mc grüße 漢字" + "x" * 300)[:200]
