"""E6: the same change of all that a filter finds, when there are as many as expected."""

import asyncio
import dataclasses

import pytest
from chassis.ids import uuid7

PATH = "/tasks/bulk/by-filter"


@pytest.fixture
def by_filter(roster):
    """Asks for a change; returns the answer."""

    async def send(given, patch, count, who="owner", query="", headers=None, **more):
        body = {"filter": given, "patch": patch, "expected_count": count, **more}
        return await roster.ask(who, "POST", f"{PATH}{query}", body, **(headers or {}))

    return send


async def some(roster, count, **fields):
    return [(await roster.task(**fields))["id"] for _ in range(count)]


async def titles(roster, *tasks):
    return [(await roster.ok("owner", "GET", f"/tasks/{one}"))["title"] for one in tasks]


def told(answer):
    return answer.status_code, [(one["field"], one["code"], one.get("index")) for one in answer.json()["errors"]]


async def test_e6_what_the_filter_finds_is_changed_and_nothing_else(roster, by_filter):
    high = await some(roster, 3, priority="high")
    [low] = await some(roster, 1, priority="low")
    count = len(await roster.log())
    here = {"field": "project_id", "op": "=", "value": str(roster.project_id)}
    text = f"priority = high and project_id = {roster.project_id}"
    answer = await by_filter({"and": [here, {"field": "priority", "op": "=", "value": "high"}]}, {"title": "b"}, 3)
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert [(one["index"], one["op"], one["id"], one["status"], one["version"]) for one in body["data"]] == [
        (index, "update", task, 200, 2) for index, task in enumerate(high)
    ]
    assert {name: body["meta"][name] for name in ("mode", "total", "succeeded", "failed", "timezone")} == {
        "mode": "atomic",
        "total": 3,
        "succeeded": 3,
        "failed": 0,
        "timezone": "UTC",
    }
    assert body["meta"]["resolved_filter"]["and"][0] == here
    assert [kind for kind, *_ in await roster.log_after(count)] == ["task.updated.v1"] * 3
    # What changes by it may be what it asks for.
    assert (await by_filter(text, {"priority": "low"}, 3)).status_code == 200
    assert told(await by_filter(text, {"priority": "low"}, 3)) == (409, [(None, "COUNT_MISMATCH", None)])
    assert await titles(roster, *high, low) == ["b", "b", "b", "a"]
    answer = await by_filter(text, {"title": "c"}, 0)
    assert (answer.status_code, answer.json()["data"], answer.json()["meta"]["total"]) == (200, [], 0)


async def test_e6_another_number_changes_nothing_and_is_told(roster, by_filter):
    tasks = await some(roster, 3)
    before = len(await roster.log())
    for expected in (0, 2, 4):
        for mode in ("atomic", "partial"):
            answer = await by_filter(f"project_id = {roster.project_id}", {"title": "b"}, expected, mode=mode)
            assert told(answer) == (409, [(None, "COUNT_MISMATCH", None)])
            assert answer.json()["data"] == {"count": 3}
    assert (len(await roster.log()), await titles(roster, *tasks)) == (before, ["a"] * 3)


async def test_e6_only_what_is_seen_counts_and_what_may_not_be_changed_fails(roster, by_filter):
    tasks = await some(roster, 3)
    text = f"project_id = {roster.project_id}"
    # Shared with the guest, who sees nothing else.
    for task, role in zip(tasks, ("editor", "viewer"), strict=False):
        await roster.ok("owner", "PUT", f"/tasks/{task}/shares/{roster.id('guest')}", {"role": role})
    before = len(await roster.log())
    assert (await by_filter(text, {"title": "b"}, 3, who="guest")).json()["data"] == {"count": 2}
    assert told(await by_filter(text, {"title": "b"}, 2, who="guest")) == (403, [(None, "FORBIDDEN", 1)])
    assert len(await roster.log()) == before
    answer = await by_filter(text, {"title": "b"}, 2, who="guest", mode="partial")
    assert answer.status_code == 207
    assert [(one["id"], one["status"]) for one in answer.json()["data"]] == [(tasks[0], 200), (tasks[1], 403)]
    assert await titles(roster, *tasks) == ["b", "a", "a"]
    assert (await by_filter(text, {"title": "b"}, 0, who="stranger")).json()["data"] == []
    answer = await by_filter(text, {"title": "b"}, 3, who="viewer", mode="partial")
    assert told(answer) == (422, [(None, "NOTHING_DONE", None)])


async def test_e6_a_token_needs_to_read_what_it_counts_and_reaches_no_further(roster):
    [task] = await some(roster, 1)
    other = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    await roster.task(project_id=other["id"])
    body = {"filter": f"workspace_id = {roster.workspace_id}", "patch": {"title": "b"}, "expected_count": 1}

    async def ask(*scopes, **terms):
        headers = roster.gateway.token_headers(roster.ids["owner"], *scopes, **terms)
        return await roster.api.post(f"/api/v1{PATH}", json=body, headers=headers)

    assert told(await ask("tasks:write")) == (403, [(None, "INSUFFICIENT_SCOPE", None)])
    assert told(await ask("tasks:read")) == (403, [(None, "INSUFFICIENT_SCOPE", None)])
    assert told(await ask("tasks:read", "tasks:write", read_only=True)) == (403, [(None, "TOKEN_READ_ONLY", None)])
    assert (await ask("tasks:read", "tasks:write")).json()["data"] == {"count": 2}
    answer = await ask("tasks:read", "tasks:write", project_ids=[roster.project_id])
    assert (answer.status_code, answer.json()["data"][0]["id"]) == (200, task)


async def test_e6_archived_projects_are_left_out_as_in_lists(roster, by_filter):
    tasks = await some(roster, 2)
    here = f"id in ({', '.join(tasks)})"
    await roster.ok("owner", "POST", f"/projects/{roster.project_id}/archive")
    assert (await by_filter(here, {"title": "b"}, 0)).status_code == 200
    for text in (f"{here} and is_archived = true", f"project_id = {roster.project_id}"):
        assert told(await by_filter(text, {"title": "b"}, 2)) == (409, [(None, "PROJECT_ARCHIVED", 0)])


async def test_e6_days_are_those_of_who_asks(roster, by_filter):
    await some(roster, 1, due={"at": "2026-12-01T23:30:00Z", "timezone": "UTC"})
    text = f"project_id = {roster.project_id} and due = 2026-12-02"
    assert (await by_filter(text, {"title": "b"}, 1)).json()["data"] == {"count": 0}
    answer = await by_filter(text, {"title": "b"}, 1, query="?tz=Europe/Berlin")
    assert (answer.status_code, answer.json()["meta"]["timezone"]) == (200, "Europe/Berlin")
    answer = await by_filter(text, {"title": "c"}, 1, headers={"x-timezone": "Europe/Berlin"})
    assert answer.status_code == 200
    # As with `POST /tasks/search`, the body may say it, too, and counts first.
    answer = await by_filter(text, {"title": "d"}, 1, query="?tz=UTC", tz="Europe/Berlin")
    assert (answer.status_code, answer.json()["meta"]["timezone"]) == (200, "Europe/Berlin")
    refused = await by_filter(text, {"title": "e"}, 1, tz="Europe/Berlim")
    assert told(refused) == (422, [("tz", "UNKNOWN_TIMEZONE", None)])


async def test_e6_a_dry_run_keeps_nothing(roster, by_filter):
    tasks = await some(roster, 2)
    before = len(await roster.log())
    answer = await by_filter(f"project_id = {roster.project_id}", {"title": "b"}, 2, dry_run=True)
    assert [one["changes"] for one in answer.json()["data"]] == [[{"field": "title", "old": "a", "new": "b"}]] * 2
    assert (len(await roster.log()), await titles(roster, *tasks)) == (before, ["a", "a"])


async def test_e6_a_repeated_request_gets_the_first_answer(roster, by_filter):
    await some(roster, 2)
    key = {"idempotency-key": str(uuid7())}
    text = f"project_id = {roster.project_id} and title = a"
    first, again = [await by_filter(text, {"title": "b"}, 2, headers=key) for _ in range(2)]
    assert (first.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("changed", "status", "problems"),
    [
        ({"filter": "priority ="}, 400, [("filter", "INVALID_FILTER")]),
        ({"filter": {}}, 400, [("filter", "INVALID_FILTER")]),
        ({"filter": {"field": "priority", "op": "=", "value": "huge"}}, 422, [("filter", "VALUE_NOT_ALLOWED")]),
        ({"filter": "colour = a"}, 422, [("filter", "UNKNOWN_FIELD")]),
        ({"patch": {"parent_id": "t1"}}, 422, [("patch.parent_id", "INVALID_FORMAT")]),
        ({"patch": {"titel": "a"}}, 422, [("patch.titel", "UNKNOWN_FIELD")]),
        ({"patch": None}, 422, [("patch", "WRONG_TYPE")]),
        ({"expected_count": "1"}, 422, [("expected_count", "WRONG_TYPE")]),
        ({"expected_count": -1}, 422, [("expected_count", "TOO_SMALL")]),
        ({"expected_count": 10_001}, 422, [("expected_count", "TOO_LARGE")]),
        ({"mode": "both"}, 422, [("mode", "NOT_ALLOWED")]),
        ({"operations": []}, 422, [("operations", "UNKNOWN_FIELD")]),
    ],
)
async def test_r28_what_is_wrong_is_told_and_nothing_changes(roster, changed, status, problems):
    [task] = await some(roster, 1)
    body = {"filter": f"id = {task}", "patch": {"title": "b"}, "expected_count": 1, **changed}
    answer = await roster.ask("owner", "POST", PATH, body)
    assert (answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]) == (status, problems)
    assert await titles(roster, task) == ["a"]


async def test_e6_a_refusal_of_one_task_says_where_in_the_patch(roster, by_filter):
    await some(roster, 2)
    answer = await by_filter(f"project_id = {roster.project_id}", {"status": "no"}, 2)
    assert told(answer) == (422, [("patch.status", "STATUS_NOT_FOUND", 0)])


async def test_e6_while_others_make_tasks_as_many_are_changed_as_were_expected(roster, patient_api):
    """Whatever is made meanwhile, either all that matches was counted, or nothing is changed."""
    team = dataclasses.replace(roster, api=patient_api)
    await some(team, 5)
    text = f"project_id = {team.project_id}"

    async def change():
        body = {"filter": text, "patch": {"title": "b"}, "expected_count": 5}
        return await team.ask("owner", "POST", PATH, body)

    async def make():
        return await team.ask("owner", "POST", "/tasks", {"title": "a", "project_id": str(team.project_id)})

    answers = await asyncio.gather(*(one() for _ in range(10) for one in (change, make)))
    changes, made = answers[::2], answers[1::2]
    assert {one.status_code for one in made} == {201}
    assert {one.status_code for one in changes} <= {200, 409}
    assert all(len(one.json()["data"]) == 5 for one in changes if one.status_code == 200)
    found = await team.rows("SELECT title FROM tasks.task WHERE project_id = :p ORDER BY number", p=team.project_id)
    was_done = any(one.status_code == 200 for one in changes)
    assert [title for (title,) in found] == ["b" if was_done else "a"] * 5 + ["a"] * 10


async def test_e6_a_task_that_matches_no_longer_is_not_changed(roster, patient_api):
    """Of many who take the same tasks at once, one gets them."""
    team = dataclasses.replace(roster, api=patient_api)
    tasks = await some(team, 4, priority="high")
    body = {
        "filter": f"project_id = {team.project_id} and priority = high",
        "patch": {"priority": "low", "title": "taken"},
        "expected_count": 4,
    }
    answers = await asyncio.gather(*(team.ask("owner", "POST", PATH, body) for _ in range(20)))
    assert sorted(one.status_code for one in answers) == [200] + [409] * 19
    found = [await team.ok("owner", "GET", f"/tasks/{one}") for one in tasks]
    assert [(one["title"], one["version"]) for one in found] == [("taken", 2)] * 4


async def test_e6_as_many_as_are_done_at_once_are_no_job(roster, by_filter):
    data = {"title": "one of many", "project_id": str(roster.project_id)}
    await roster.ok("owner", "POST", "/tasks/bulk", {"operations": [{"op": "create", "data": data}] * 200})

    tried = await by_filter('title = "one of many"', {"priority": "low"}, 200, dry_run=True)
    assert (tried.status_code, tried.json()["meta"]["total"]) == (200, 200)
