"""B11: what apps keep with tasks, each in a namespace of its own."""

import asyncio

import pytest
from chassis.ids import uuid7


def code(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def told(roster):
    return [entry for entry in await roster.log() if entry[0].startswith("task_metadata.")]


@pytest.fixture
async def place(roster):
    task = await roster.task()
    return task, f"/tasks/{task['id']}/metadata"


def app(roster, who="owner", **bounds):
    """An API token: an app of its own."""
    return roster.gateway.token_headers(roster.ids[who], "tasks:read", "tasks:write", **bounds)


async def by(roster, headers, method, path, body=None, **more):
    return await roster.api.request(method, f"/api/v1{path}", json=body, headers={**headers, **more})


async def test_b11_a_namespace_is_of_the_app_that_uses_it_first(roster, place):
    task, path = place
    crm, other = app(roster), app(roster)
    answer = await by(roster, crm, "PUT", f"{path}/crm", {"customer": 4711})
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert (made["value"], made["shared"], made["task_id"]) == ({"customer": 4711}, False, task["id"])
    assert (await by(roster, crm, "GET", f"{path}/crm")).json()["data"] == made
    assert (await by(roster, crm, "GET", path)).json()["data"] == [made]
    for headers in (other, roster.gateway.headers(roster.ids["owner"]), app(roster, "editor")):
        assert code(await by(roster, headers, "GET", f"{path}/crm")) == (404, "NOT_FOUND")
        assert (await by(roster, headers, "GET", path)).json()["data"] == []
        assert code(await by(roster, headers, "PUT", f"{path}/crm", {})) == (409, "NAMESPACE_TAKEN")
        assert code(await by(roster, headers, "DELETE", f"{path}/crm")) == (404, "NOT_FOUND")
    second = await roster.task()
    assert code(await by(roster, other, "PUT", f"/tasks/{second['id']}/metadata/crm", {})) == (409, "NAMESPACE_TAKEN")
    assert (await roster.ok("owner", "GET", f"/tasks/{task['id']}"))["version"] == 1
    assert [(kind, fields.get("value"), audience) for kind, fields, audience in await told(roster)] == [
        ("task_metadata.updated.v1", None, {"owner"})
    ]


async def test_b11_what_is_shared_is_read_by_all_who_see_the_task_and_changed_by_its_app(roster, place):
    _, path = place
    crm = app(roster)
    await by(roster, crm, "PUT", f"{path}/crm?shared=true", {"a": 1})
    assert (await roster.ok("viewer", "GET", f"{path}/crm"))["value"] == {"a": 1}
    assert code(await roster.ask("editor", "PUT", f"{path}/crm", {"a": 2})) == (409, "NAMESPACE_TAKEN")
    assert code(await roster.ask("editor", "DELETE", f"{path}/crm")) == (409, "NAMESPACE_TAKEN")
    kept = await by(roster, crm, "PUT", f"{path}/crm", {"a": 2})
    assert (kept.json()["data"]["shared"], kept.headers["etag"]) == (True, '"2"')
    hidden = await by(roster, crm, "PUT", f"{path}/crm?shared=false", {"a": 3})
    assert hidden.json()["data"]["shared"] is False
    assert code(await roster.ask("viewer", "GET", f"{path}/crm")) == (404, "NOT_FOUND")
    everybody = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}
    assert [(fields.get("value"), audience) for _, fields, audience in await told(roster)] == [
        ((None, {"a": 1}), everybody),
        (({"a": 1}, {"a": 2}), everybody),
        (({"a": 2}, None), everybody),
    ]


async def test_b11_equal_is_no_change_and_stale_is_refused(roster, place):
    _, path = place
    crm = app(roster)
    assert (await by(roster, crm, "PUT", f"{path}/crm", {}, **{"if-match": '"1"'})).status_code == 412
    for body in ({"a": 1, "b": [2]}, {"b": [2], "a": 1}):
        assert (await by(roster, crm, "PUT", f"{path}/crm", body)).headers["etag"] == '"1"'
    assert (await by(roster, crm, "PUT", f"{path}/crm", {"a": 2}, **{"if-match": '"1"'})).headers["etag"] == '"2"'
    stale = await by(roster, crm, "PUT", f"{path}/crm", {"a": 3}, **{"if-match": '"1"'})
    assert (stale.status_code, stale.json()["data"]["current"]["value"]) == (412, {"a": 2})
    assert (await by(roster, crm, "DELETE", f"{path}/crm", **{"if-match": '"1"'})).status_code == 412
    assert (await by(roster, crm, "DELETE", f"{path}/crm", **{"if-match": '"2"'})).status_code == 200
    assert code(await by(roster, crm, "DELETE", f"{path}/crm")) == (404, "NOT_FOUND")
    assert [kind for kind, _, _ in await told(roster)] == [
        "task_metadata.updated.v1",
        "task_metadata.updated.v1",
        "task_metadata.removed.v1",
    ]


async def test_b11_values_are_objects_of_some_size_and_depth(roster, place):
    _, path = place

    def nested(levels):
        return {"a": nested(levels - 1)} if levels > 1 else {}

    assert (await roster.ask("owner", "PUT", f"{path}/deep", nested(20))).status_code == 200
    assert code(await roster.ask("owner", "PUT", f"{path}/deep", nested(21))) == (422, "TOO_LONG")
    assert (await roster.ask("owner", "PUT", f"{path}/big", {"a": "x" * (16 * 1024 - 8)})).status_code == 200
    assert code(await roster.ask("owner", "PUT", f"{path}/big", {"a": "x" * (16 * 1024 - 7)})) == (422, "TOO_LONG")
    for body in ([], 1, "x", None, {"a": "\0"}):
        assert (await roster.ask("owner", "PUT", f"{path}/wrong", body)).status_code == 422
    for wrong in ("a", "A" * 3, ".ab", "x" * 64, "a b"):
        assert code(await roster.ask("owner", "PUT", f"{path}/{wrong}", {})) == (422, "INVALID_FORMAT")
        assert code(await roster.ask("owner", "GET", f"{path}/{wrong}")) == (404, "NOT_FOUND")


async def test_b11_of_twenty_apps_at_once_one_gets_the_namespace(roster, place):
    _, path = place
    answers = await asyncio.gather(*(by(roster, app(roster), "PUT", f"{path}/crm", {"n": n}) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert len(await told(roster)) == 1


async def test_b11_an_app_that_writes_at_once_loses_nothing(roster, place):
    _, path = place
    crm = app(roster)
    answers = await asyncio.gather(*(by(roster, crm, "PUT", f"{path}/crm", {"n": n}) for n in range(10)))
    assert sorted(answer.headers["etag"] for answer in answers) == sorted(f'"{n}"' for n in range(1, 11))


async def test_b11_a_task_has_metadata_of_at_most_a_hundred_namespaces(roster, place):
    task, path = place
    await roster.rows(
        "WITH spaces AS (INSERT INTO tasks.metadata_namespace SELECT :w, 'n' || n, :app, now()"
        " FROM generate_series(10, 109) AS n RETURNING namespace) SELECT count(*) FROM spaces",
        w=roster.workspace_id,
        app=uuid7(),
    )
    await roster.rows(
        "INSERT INTO tasks.task_metadata SELECT workspace_id, :task, namespace, owner_id, false, '{}', 1, now()"
        " FROM tasks.metadata_namespace WHERE workspace_id = :w",
        w=roster.workspace_id,
        task=task["id"],
    )
    assert code(await roster.ask("owner", "PUT", f"{path}/crm", {})) == (422, "TOO_MANY")
