"""E1 to E4: what is wrong with the body of many operations is told before anything runs, all at once, and where."""

import pytest
from chassis.ids import uuid7

BULK = "/tasks/bulk"


def told(answer):
    return answer.status_code, {(one["field"], one["code"]) for one in answer.json()["errors"]}


async def test_r28_all_that_is_wrong_is_told_with_its_place(roster):
    task = await roster.task()
    count = len(await roster.log())
    operations = [
        {"op": "update", "id": task["id"], "patch": {"title": "b"}},
        {"op": "create", "data": {"title": "", "nickname": 1, "priority": "huge"}},
        {"op": "update", "id": "not an id", "patch": {"status": None, "estimate_minutes": "5"}, "if_version": "3"},
        {"op": "uproot", "id": task["id"]},
        {"id": task["id"]},
        7,
        {"op": "update", "id": task["id"]},
        {"op": "update", "id": task["id"], "patch": {}, "data": {}},
        {"op": "create", "data": {"title": "a"}, "temp_id": "PROJ-12"},
        {"op": "create", "data": {"title": "a", "parent_id": 5}, "temp_id": "a" * 32},
        {"op": "assign", "id": task["id"], "user_ids": []},
        {"op": "delete", "id": task["id"], "depends_on": [True, -1, "1"], "title": "a"},
        {"op": "create", "data": {"title": "a"}, "create": 1},
    ]
    expected = {
        ("operations.1.data.title", "TOO_SHORT"),
        ("operations.1.data.nickname", "UNKNOWN_FIELD"),
        ("operations.1.data.priority", "NOT_ALLOWED"),
        ("operations.2.id", "INVALID_FORMAT"),
        ("operations.2.if_version", "WRONG_TYPE"),
        ("operations.2.patch.status", "NOT_NULLABLE"),
        ("operations.2.patch.estimate_minutes", "WRONG_TYPE"),
        ("operations.3.op", "NOT_ALLOWED"),
        ("operations.4.op", "REQUIRED"),
        ("operations.5", "WRONG_TYPE"),
        ("operations.6.patch", "REQUIRED"),
        ("operations.7.data", "UNKNOWN_FIELD"),
        ("operations.8.temp_id", "INVALID_FORMAT"),
        ("operations.9.temp_id", "INVALID_FORMAT"),
        ("operations.9.data.parent_id", "WRONG_TYPE"),
        ("operations.10.user_ids", "TOO_FEW"),
        ("operations.11.depends_on.0", "WRONG_TYPE"),
        ("operations.11.depends_on.1", "TOO_SMALL"),
        ("operations.11.depends_on.2", "WRONG_TYPE"),
        ("operations.11.title", "UNKNOWN_FIELD"),
        ("operations.12.create", "UNKNOWN_FIELD"),
    }
    for mode in ("atomic", "partial"):
        answer = await roster.ask("owner", "POST", BULK, {"mode": mode, "operations": operations})
        assert told(answer) == (422, expected)
    [wrong] = [one for one in answer.json()["errors"] if one["field"] == "operations.3.op"]
    assert wrong["allowed"][:2] == ["create", "update"]
    assert await roster.log_after(count) == []


@pytest.mark.parametrize(
    ("operation", "field", "code", "hint"),
    [
        ({"op": "create", "data": {"title": "a", "titel": "b"}}, "data.titel", "UNKNOWN_FIELD", "title"),
        ({"op": "create", "data": {"title": "a"}, "temp": "b"}, "temp", "UNKNOWN_FIELD", "temp_id"),
        ({"op": "create", "data": {"title": "a", "version": 1}}, "data.version", "READ_ONLY_FIELD", None),
        ({"op": "update", "id": "A-1", "patch": {"titel": "b"}}, "patch.titel", "UNKNOWN_FIELD", "title"),
        ({"op": "update", "id": "A-1", "data": {"titel": "b"}}, "data.titel", "UNKNOWN_FIELD", "title"),
        *(
            ({"op": "update", "id": "A-1", "patch": {name: 1}}, f"patch.{name}", "READ_ONLY_FIELD", None)
            for name in ("created_by", "version", "completed_at", "key")
        ),
        ({"op": "delete", "id": "A-1", "version": 1}, "version", "UNKNOWN_FIELD", "if_version"),
    ],
)
async def test_r28_what_is_unknown_in_an_operation_is_told_as_by_its_single_request(
    roster, operation, field, code, hint
):
    good = {"op": "delete", "id": "A-1"}
    answer = await roster.ask("owner", "POST", BULK, {"operations": [good, operation]})
    assert answer.status_code == 422
    found = {(one["field"], one["code"], one.get("hint"), one["index"]) for one in answer.json()["errors"]}
    assert found == {(f"operations.1.{field}", code, hint and f"did you mean {hint}?", 1)}


@pytest.mark.parametrize(
    ("op", "meant"),
    [
        ("remove", "delete"),
        ("Add", "create"),
        ("done", "complete"),
        ("close", "complete"),
        ("open", "reopen"),
        ("edit", "update"),
        ("deletex", "delete"),
        ("mov", "move"),
    ],
)
async def test_r28_what_an_operation_is_called_elsewhere_is_told_with_its_name_here(roster, op, meant):
    answer = await roster.ask("owner", "POST", BULK, {"operations": [{"op": op, "id": "A-1"}]})
    [error] = answer.json()["errors"]
    found = (answer.status_code, error["field"], error["code"], error["hint"])
    assert found == (422, "operations.0.op", "NOT_ALLOWED", f"did you mean {meant}?")


async def test_r28_what_is_unknown_in_the_patch_of_a_filter_is_told_as_by_its_single_request(roster):
    body = {"filter": "status = todo", "expected_count": 1, "patch": {"created_by": 1, "titel": "a"}}
    answer = await roster.ask("owner", "POST", f"{BULK}/by-filter", body)
    found = [(one["field"], one["code"], one.get("hint"), one.get("index")) for one in answer.json()["errors"]]
    assert (answer.status_code, found) == (
        422,
        [
            ("patch.created_by", "READ_ONLY_FIELD", None, None),
            ("patch.titel", "UNKNOWN_FIELD", "did you mean title?", None),
        ],
    )


async def test_r28_of_many_mistakes_fifty_are_told(roster):
    body = {"operations": [{"op": "create", "data": {"titel": "a"}}] * 200}
    answer = await roster.ask("owner", "POST", BULK, body)
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 50)
    names = [{"op": "delete", "id": f"t{n}"} for n in range(200)]
    answer = await roster.ask("owner", "POST", BULK, {"operations": names})
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 50)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"operations": []}, "operations", "TOO_FEW"),
        ({}, "operations", "REQUIRED"),
        ({"operations": None}, "operations", "WRONG_TYPE"),
        ({"operations": {}}, "operations", "WRONG_TYPE"),
        ({"operations": [{"op": "delete", "id": "A-1"}], "mode": "both"}, "mode", "NOT_ALLOWED"),
        ({"operations": [{"op": "delete", "id": "A-1"}], "dry_run": 1}, "dry_run", "WRONG_TYPE"),
        ({"operations": [{"op": ["delete"], "id": "A-1"}]}, "operations.0.op", "NOT_ALLOWED"),
        ({"operations": [{"op": "delete", "id": "A-1\0"}]}, "operations.0.id", "NULL_CHARACTER"),
        ({"operations": [{"op": "delete", "id": "A-1\n"}]}, "operations.0.id", "INVALID_FORMAT"),
        ({"operations": [{"op": "create", "data": {"title": "a\0"}}]}, "operations.0.data.title", "NULL_CHARACTER"),
    ],
)
async def test_r30_bodies_that_are_none(roster, body, field, code):
    answer = await roster.ask("owner", "POST", BULK, body)
    assert answer.status_code == 422
    assert (field, code) in {(one["field"], one["code"]) for one in answer.json()["errors"]}
    # Whatever is wrong with an operation tells which one it is.
    index = 0 if field.startswith("operations.") else None
    assert {one.get("index") for one in answer.json()["errors"]} == {index}


async def test_r29_a_batch_may_have_more_values_than_another_body_and_not_any_number(roster):
    task = str(uuid7())
    many = [{"op": "update", "id": task, "patch": {"labels": [task] * 50}}] * 190
    answer = await roster.ask("owner", "POST", BULK, {"operations": many})
    assert told(answer) == (404, {(None, "NOT_FOUND")})
    body = b'{"operations": [%b]}' % b",".join([b"0"] * 100_000)
    headers = {**roster.gateway.headers(roster.ids["owner"]), "content-type": "application/json"}
    answer = await roster.api.post("/api/v1/tasks/bulk", content=body, headers=headers)
    assert told(answer) == (400, {(None, "MALFORMED_JSON")})


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/tasks/bulk", "POST"),
        ("/tasks/bulk/by-filter", "POST"),
        ("/tasks/search", "POST"),
        ("/tasks/aggregate", "GET, HEAD"),
        ("/tasks/facets", "GET, HEAD"),
    ],
)
async def test_r31_what_is_no_task_takes_no_other_method(roster, path, allow):
    for method in {"GET", "PATCH", "PUT", "DELETE"} - set(allow.split(", ")):
        answer = await roster.ask("owner", method, path, {} if method in {"PATCH", "PUT"} else None)
        assert (answer.status_code, answer.headers.get("allow")) == (405, allow), method
        assert answer.json()["errors"][0]["code"] == "METHOD_NOT_ALLOWED"
