"""Who is to do a task (F1), and what they say of it (F2)."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

READERS = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}
STATES = "SELECT user_id, state FROM tasks.assignee WHERE task_id = :id"


async def states(roster, task):
    names = {user_id: name for name, user_id in roster.ids.items()}
    return {names[user]: state for user, state in await roster.rows(STATES, id=task["id"])}


async def read(roster, task):
    return await roster.ok("owner", "GET", f"/tasks/{task['id']}")


def people(task):
    return task["assigned_to"], task["assignees"]


def of_type(log, kind):
    return [entry for entry in log if entry[0] == kind]


def codes(answer):
    return answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]


async def test_f1_a_new_task_may_have_assignees(roster):
    one = await roster.task(assigned_to=roster.id("viewer"))
    assert people(one) == (roster.id("viewer"), roster.several("viewer"))
    two = await roster.task(assignees=roster.several("member", "viewer"))
    assert people(two) == (roster.id("member"), roster.several("member", "viewer"))
    three = await roster.task(assignees=roster.several("member", "viewer"), assigned_to=roster.id("viewer"))
    assert people(three) == (roster.id("viewer"), roster.several("viewer", "member"))
    assert await states(roster, three) == {"member": "pending", "viewer": "pending"}
    created = [entry for entry in await roster.log() if entry[0] == "task.created.v1"][-1]
    assert created[1]["assignees"] == (None, roster.several("viewer", "member"))
    assert created[1]["assigned_to"] == (None, roster.id("viewer"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"assignees": ["guest"]}, [("assignees.0", "ASSIGNEE_NO_ACCESS")]),
        ({"assignees": ["member", "member"]}, [("assignees", "REPEATED_ENTRY")]),
        ({"assignees": None}, [("assignees", "WRONG_TYPE")]),
        ({"assignees": ["member"], "assigned_to": "owner"}, [(None, "PRIMARY_NOT_ASSIGNED")]),
    ],
)
async def test_f1_a_new_task_is_not_for_who_does_not_see_it(roster, body, expected):
    asked = {
        name: roster.several(*value) if isinstance(value, list) else value and roster.id(value)
        for name, value in body.items()
    }
    answer = await roster.ask("owner", "POST", "/tasks", {"title": "a", "project_id": str(roster.project_id), **asked})
    assert codes(answer) == (422, expected)
    assert await roster.log() == []


async def test_f1_a_patch_gives_a_task_to_one_or_to_several(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}"
    assert people(await roster.ok("owner", "PATCH", path, {"assigned_to": roster.id("member")})) == (
        roster.id("member"),
        roster.several("member"),
    )
    # The primary one is another, and nobody is lost.
    assert people(await roster.ok("owner", "PATCH", path, {"assigned_to": roster.id("viewer")})) == (
        roster.id("viewer"),
        roster.several("viewer", "member"),
    )
    assert people(await roster.ok("owner", "PATCH", path, {"assignees": roster.several("owner", "member")})) == (
        roster.id("owner"),
        roster.several("owner", "member"),
    )
    assert await states(roster, task) == {"owner": "pending", "member": "pending"}
    assert people(await roster.ok("owner", "PATCH", path, {"assigned_to": None})) == (None, [])
    assert await states(roster, task) == {}
    for wrong, expected in (
        ({"assigned_to": roster.id("guest")}, [("assigned_to", "ASSIGNEE_NO_ACCESS")]),
        ({"assignees": roster.several("owner", "guest")}, [("assignees.1", "ASSIGNEE_NO_ACCESS")]),
        ({"assignees": None}, [("assignees", "NOT_NULLABLE")]),
        ({"assignees": [str(uuid7()) for _ in range(21)]}, [("assignees", "TOO_MANY")]),
    ):
        assert codes(await roster.ask("owner", "PATCH", path, wrong)) == (422, expected)
    log = await roster.log()
    assert [entry[1].keys() & {"assignees", "assigned_to"} for entry in of_type(log, "task.updated.v1")] == [
        {"assignees", "assigned_to"}
    ] * 4
    assert {frozenset(entry[2]) for entry in log} == {frozenset(READERS)}
    assert [entry[1]["assigned_to"] for entry in of_type(log, "task.updated.v1")] == [
        (None, roster.id("member")),
        (roster.id("member"), roster.id("viewer")),
        (roster.id("viewer"), roster.id("owner")),
        (roster.id("owner"), None),
    ]


async def test_f1_who_does_not_see_a_task_any_more_or_whose_account_is_not_active_gets_none(roster, rows):
    for status in ("deactivated", "disabled", "deleting", "deleted"):
        person = uuid7()
        await roster.join(person)
        await rows(
            "INSERT INTO tasks.person (id, email_verified, kind, status, version)"
            " VALUES (:u, true, 'human', :status, 1)",
            u=person,
            status=status,
        )
        body = {"title": "a", "project_id": str(roster.project_id), "assigned_to": str(person)}
        answer = await roster.ask("owner", "POST", "/tasks", body)
        assert codes(answer) == (422, [("assignees.0", "ASSIGNEE_NO_ACCESS")])
    machine = uuid7()
    await roster.join(machine)
    await rows(
        "INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)"
        " VALUES (:u, 'Robot', false, 'service', 'active', 1)",
        u=machine,
    )
    task = await roster.task(assigned_to=str(machine))
    ((name, state),) = [
        (one["name"], one["state"]) for one in await roster.ok("viewer", "GET", f"/tasks/{task['id']}/assignees")
    ]
    assert (name, state) == ("Robot", "pending")


async def test_f1_adding_removing_and_replacing_one_by_one(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/assignees"
    first = await roster.ask("owner", "POST", path, {"user_id": roster.id("member")})
    assert (first.status_code, first.headers["etag"]) == (201, '"2"')
    assert first.headers["location"] == f"/api/v1{path}/{roster.id('member')}"
    assert first.json()["data"]["is_primary"] is True
    count = len(await roster.log())
    again = await roster.ask("owner", "POST", path, {"user_id": roster.id("member")})
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    assert again.json()["data"] == first.json()["data"]
    assert await roster.log_after(count) == []
    await roster.ok("editor", "POST", path, {"user_id": roster.id("viewer")})
    shown = await roster.ok("viewer", "GET", path)
    assert [(one["user_id"], one["state"], one["is_primary"], one["task_id"]) for one in shown] == [
        (roster.id("member"), "pending", True, task["id"]),
        (roster.id("viewer"), "pending", False, task["id"]),
    ]
    gone = await roster.ask("owner", "DELETE", f"{path}/{roster.id('member')}")
    assert (gone.status_code, gone.json()["data"], gone.headers["etag"]) == (200, None, '"4"')
    count = len(await roster.log())
    for nobody in (roster.id("member"), str(uuid7())):
        assert (await roster.ask("owner", "DELETE", f"{path}/{nobody}")).headers["etag"] == '"4"'
    assert await roster.log_after(count) == []
    assert people(await read(roster, task)) == (roster.id("viewer"), roster.several("viewer"))
    put = await roster.ok("owner", "PUT", path, {"user_ids": roster.several("colleague", "viewer")})
    assert [(one["user_id"], one["is_primary"]) for one in put] == [
        (roster.id("colleague"), True),
        (roster.id("viewer"), False),
    ]
    minimal = await roster.ask("owner", "DELETE", f"{path}/{roster.id('viewer')}", prefer="return=minimal")
    assert (minimal.status_code, minimal.headers["etag"]) == (204, '"6"')
    assert await roster.ok("owner", "PUT", path, {"user_ids": []}) == []
    assert people(await read(roster, task)) == (None, [])


async def test_f1_what_is_refused(roster):
    task = await roster.task(assigned_to=roster.id("viewer"))
    path = f"/tasks/{task['id']}/assignees"
    count = len(await roster.log())
    for method, at, body, expected in (
        ("PUT", path, {"user_ids": roster.several("owner", "guest")}, [("user_ids.1", "ASSIGNEE_NO_ACCESS")]),
        ("PUT", path, {"user_ids": [str(uuid7()) for _ in range(21)]}, [("user_ids", "TOO_MANY")]),
        ("PUT", path, {"user_ids": roster.several("owner", "owner")}, [("user_ids", "REPEATED_ENTRY")]),
        ("POST", path, {"user_id": roster.id("guest")}, [("user_id", "ASSIGNEE_NO_ACCESS")]),
        ("POST", path, {"user_id": str(uuid7())}, [("user_id", "ASSIGNEE_NO_ACCESS")]),
        ("PATCH", f"{path}/{roster.id('viewer')}", {"state": "tired"}, [("state", "NOT_ALLOWED")]),
    ):
        assert codes(await roster.ask("owner", method, at, body)) == (422, expected)
    for who in ("viewer", "commenter"):
        for method, at, body in (
            ("PUT", path, {"user_ids": []}),
            ("POST", path, {"user_id": roster.id(who)}),
            ("DELETE", f"{path}/{roster.id('viewer')}", None),
        ):
            assert codes(await roster.ask(who, method, at, body)) == (403, [(None, "FORBIDDEN")])
    answer_of_another = f"{path}/{roster.id('viewer')}"
    by_another = await roster.ask("commenter", "PATCH", answer_of_another, {"state": "done"})
    assert codes(by_another) == (403, [(None, "FORBIDDEN")])
    answer_of_none = await roster.ask("owner", "PATCH", f"{path}/{roster.id('owner')}", {"state": "done"})
    assert codes(answer_of_none) == (404, [(None, "NOT_FOUND")])
    own_of_none = await roster.ask("commenter", "PATCH", f"{path}/{roster.id('commenter')}", {"state": "done"})
    assert codes(own_of_none) == (403, [(None, "FORBIDDEN")])
    stale = await roster.ask("owner", "PUT", path, {"user_ids": []}, **{"if-match": '"9"'})
    assert stale.status_code == 412
    await roster.rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=roster.workspace_id)
    assert (await roster.ask("owner", "PUT", path, {"user_ids": []})).status_code == 428
    assert (await roster.ask("viewer", "PATCH", answer_of_another, {"state": "declined"})).status_code == 200
    await roster.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=roster.project_id)
    for method, at, body in (
        ("PUT", path, {"user_ids": []}),
        ("PATCH", answer_of_another, {"state": "done"}),
    ):
        assert codes(await roster.ask("owner", method, at, body)) == (409, [(None, "PROJECT_ARCHIVED")])
    assert [entry[0] for entry in await roster.log_after(count)] == ["assignee.updated.v1"]


async def test_f1_a_task_has_at_most_twenty(roster, rows):
    many = [uuid7() for _ in range(20)]
    for user in many:
        await roster.join(user)
    task = await roster.task(assignees=[str(one) for one in many])
    for method, at, body in (
        ("POST", f"/tasks/{task['id']}/assignees", {"user_id": roster.id("owner")}),
        ("PATCH", f"/tasks/{task['id']}", {"assigned_to": roster.id("owner")}),
    ):
        answer = await roster.ask("owner", method, at, body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "TOO_MANY")
    assert people(await read(roster, task))[1] == [str(one) for one in many]


async def answer(roster, who, task, state, *, by=None):
    path = f"/tasks/{task['id']}/assignees/{roster.id(who)}"
    return await roster.ok(by or who, "PATCH", path, {"state": state})


async def test_f2_an_answer_is_an_event_of_its_own_and_no_version_of_the_task(roster):
    task = await roster.task(assignees=roster.several("member", "viewer"), completion_policy="all")
    count = len(await roster.log())
    assert (await answer(roster, "viewer", task, "declined"))["state"] == "declined"
    await answer(roster, "viewer", task, "declined")
    assert await roster.log_after(count) == [("assignee.updated.v1", {"state": ("pending", "declined")}, READERS)]
    assert await read(roster, task) == task
    await answer(roster, "viewer", task, "done", by="editor")
    assert await states(roster, task) == {"member": "pending", "viewer": "done"}


async def test_f2_the_first_one_completes_a_task_of_any(roster):
    task = await roster.task(assignees=roster.several("member", "viewer"))
    count = len(await roster.log())
    await answer(roster, "viewer", task, "done")
    done = await read(roster, task)
    assert (done["status"], done["completed_by"], done["version"]) == ("done", roster.id("viewer"), 2)
    kinds = [entry[0] for entry in await roster.log_after(count)]
    assert kinds == ["assignee.updated.v1", "task.updated.v1"]
    # What is said afterwards, and taken back, changes nothing of the task.
    await answer(roster, "member", task, "done")
    await answer(roster, "viewer", task, "pending")
    assert await read(roster, task) == done


async def test_f2_all_who_did_not_decline_complete_a_task_of_all(roster):
    task = await roster.task(assignees=roster.several("member", "viewer", "editor"), completion_policy="all")
    await answer(roster, "member", task, "done")
    await answer(roster, "viewer", task, "declined")
    assert (await read(roster, task))["status"] == "todo"
    await answer(roster, "editor", task, "done")
    assert (await read(roster, task))["status"] == "done"
    declined = await roster.task(assignees=roster.several("member", "viewer"), completion_policy="all")
    for who in ("member", "viewer"):
        await answer(roster, who, declined, "declined")
    assert (await read(roster, declined))["status"] == "todo"


async def test_f2_a_quorum_completes_a_task_of_a_quorum(roster):
    three = roster.several("member", "viewer", "editor")
    task = await roster.task(assignees=three, completion_policy="quorum:2")
    beyond = await roster.task(assignees=three, completion_policy="quorum:4")
    for who, status in (("member", "todo"), ("viewer", "done"), ("editor", "done")):
        await answer(roster, who, task, "done")
        await answer(roster, who, beyond, "done")
        assert (await read(roster, task))["status"] == status
    assert (await read(roster, beyond))["status"] == "todo"


async def test_f2_it_gets_the_first_done_status_of_its_project_and_none_where_there_is_none(roster, rows):
    await rows(
        "INSERT INTO tasks.status (id, workspace_id, project_id, key, name, category, position, version, created_at,"
        " updated_at) VALUES (uuidv7(), :w, :p, 'shipped', 'Shipped', 'done', 'a0V', 1, now(), now())",
        w=roster.workspace_id,
        p=roster.project_id,
    )
    task = await roster.task(assigned_to=roster.id("member"), status="todo")
    await answer(roster, "member", task, "done")
    assert (await read(roster, task))["status"] == "shipped"


async def test_f2_one_more_opens_a_completed_task_of_all_only_when_it_says_so(roster):
    for reopens, status in ((True, "todo"), (False, "done")):
        task = await roster.task(assigned_to=roster.id("member"), completion_policy="all", reopen_on_assign=reopens)
        await answer(roster, "member", task, "done")
        count = len(await roster.log())
        await roster.ok("owner", "POST", f"/tasks/{task['id']}/assignees", {"user_id": roster.id("viewer")})
        now = await read(roster, task)
        assert (now["status"], now["completed_at"] is None) == (status, reopens)
        assert await states(roster, task) == {"member": "done", "viewer": "pending"}
        assert len(of_type(await roster.log_after(count), "task.updated.v1")) == 1
    await roster.ok(
        "owner", "PATCH", f"/tasks/{task['id']}", {"reopen_on_assign": True, "assigned_to": roster.id("editor")}
    )
    assert (await read(roster, task))["status"] == "done"
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"assigned_to": roster.id("colleague")})
    assert (await read(roster, task))["status"] == "todo"
    await answer(roster, "viewer", task, "done")
    await answer(roster, "editor", task, "done")
    await answer(roster, "colleague", task, "done")
    assert (await read(roster, task))["status"] == "done"


async def test_f2_taking_the_last_one_away_who_was_not_done_completes_it(roster):
    task = await roster.task(assignees=roster.several("member", "viewer"), completion_policy="all")
    await answer(roster, "member", task, "done")
    count = len(await roster.log())
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}/assignees/{roster.id('viewer')}")
    ((kind, changes, _),) = await roster.log_after(count)
    assert (kind, changes["status"], changes["assignees"]) == (
        "task.updated.v1",
        ("todo", "done"),
        (roster.several("member", "viewer"), roster.several("member")),
    )


async def test_f2_opening_a_task_by_its_status_asks_again_who_was_done(roster):
    task = await roster.task(assignees=roster.several("member", "viewer"), completion_policy="all")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"status": "done"})
    assert await states(roster, task) == {"member": "pending", "viewer": "pending"}
    await answer(roster, "member", task, "done")
    await answer(roster, "viewer", task, "declined")
    count = len(await roster.log())
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"status": "in_progress"})
    assert await states(roster, task) == {"member": "pending", "viewer": "declined"}
    assert [(entry[0], entry[1].get("state")) for entry in await roster.log_after(count)] == [
        ("task.updated.v1", None),
        ("assignee.updated.v1", ("done", "pending")),
    ]


async def test_f2_answers_at_the_same_moment_complete_once(roster):
    who = ("owner", "admin", "member", "colleague", "editor", "commenter", "viewer")
    for policy in ("any", "all", "quorum:4"):
        task = await roster.task(assignees=roster.several(*who), completion_policy=policy)
        count = len(await roster.log())
        await asyncio.gather(*(answer(roster, one, task, "done") for one in who))
        log = await roster.log_after(count)
        assert len(of_type(log, "assignee.updated.v1")) == len(who)
        assert [entry[1]["status"] for entry in of_type(log, "task.updated.v1")] == [("todo", "done")]
        assert (await read(roster, task))["version"] == 2


async def test_f1_assignments_at_the_same_moment_are_all_kept(roster):
    task = await roster.task()
    who = ("owner", "admin", "member", "colleague", "editor", "commenter", "viewer")
    path = f"/tasks/{task['id']}/assignees"
    answers = await asyncio.gather(*(roster.ask("owner", "POST", path, {"user_id": roster.id(one)}) for one in who * 2))
    assert sorted(one.status_code for one in answers) == [200] * 7 + [201] * 7
    now = await read(roster, task)
    assert (set(now["assignees"]), now["version"]) == (set(roster.several(*who)), 8)
    assert set(await states(roster, task)) == set(who)


async def test_f1_nobody_is_given_a_task_while_leaving(roster, rows):
    """Thirty people leave while each is given a task: none of them has one afterwards."""
    people_leaving = [uuid7() for _ in range(30)]
    tasks = [await roster.task() for _ in people_leaving]
    for user in people_leaving:
        await roster.join(user)

    async def leave(user):
        return await roster.ask("owner", "DELETE", f"/workspaces/{roster.workspace_id}/members/{user}")

    async def give(user, task):
        return await roster.ask("owner", "POST", f"/tasks/{task['id']}/assignees", {"user_id": str(user)})

    pairs = list(zip(people_leaving, tasks, strict=True))
    # Few at once, since they all wait for one workspace.
    for first in range(0, len(pairs), 2):
        some = pairs[first : first + 2]
        answers = await asyncio.gather(*(give(*pair) for pair in some), *(leave(user) for user, _ in some))
        assert {one.status_code for one in answers[:2]} <= {201, 422}
        assert {one.status_code for one in answers[2:]} <= {200, 204}
    left = await rows(
        "SELECT id FROM tasks.task WHERE workspace_id = :w AND cardinality(assignees) > 0", w=roster.workspace_id
    )
    assert left == []
    assert await rows("SELECT user_id FROM tasks.assignee WHERE workspace_id = :w", w=roster.workspace_id) == []


async def test_f1_a_list_of_assignees_costs_the_same_for_one_and_for_many(roster, database):
    counts = []
    for who in (("member",), ("member", "viewer", "editor", "owner")):
        task = await roster.task(assignees=roster.several(*who))
        with statements_seen(database.reader) as seen:
            assert len(await roster.ok("viewer", "GET", f"/tasks/{task['id']}/assignees")) == len(who)
        counts.append(len(seen))
    assert counts == [2, 2]


async def test_f1_a_change_with_many_costs_the_same_as_with_one(roster, database):
    counts = []
    for who in (("member",), ("member", "viewer", "editor", "owner")):
        task = await roster.task()
        with statements_seen(database.writer) as seen:
            await roster.ok("owner", "PUT", f"/tasks/{task['id']}/assignees", {"user_ids": roster.several(*who)})
        counts.append(len(seen))
    assert counts[0] == counts[1]


async def test_f1_tasks_are_read_with_their_assignees_for_one_statement_more(roster, database):
    tasks = [await roster.task(assignees=roster.several("viewer", "member")) for _ in range(2)]
    await answer(roster, "member", tasks[0], "declined")
    for path, count in ((f"/tasks/{tasks[0]['id']}", 2), (f"/tasks?project_id={roster.project_id}", 2)):
        with statements_seen(database.reader) as seen:
            shown = await roster.ok("viewer", "GET", path + ("&" if "?" in path else "?") + "include=assignees")
        assert len(seen) == count
    first = next(one for one in shown if one["id"] == tasks[0]["id"])
    assert [(one["user_id"], one["state"], one["is_primary"]) for one in first["assignee_details"]] == [
        (roster.id("viewer"), "pending", True),
        (roster.id("member"), "declined", False),
    ]
    assert "assignee_details" not in await read(roster, tasks[0])


async def test_f2_a_quorum_is_as_many_as_there_can_be_assignees(roster, rows):
    task = await roster.task(completion_policy="quorum:20")
    path, fields = f"/tasks/{task['id']}", {"completion_policy": "quorum:21"}
    refused = [
        await roster.ask("owner", "POST", "/tasks", {**fields, "title": "a"}),
        await roster.ask("owner", "PATCH", path, {"completion_policy": "quorum:99"}),
        await roster.ask("owner", "PATCH", path, fields),
    ]
    errors = [(one.status_code, [each["field"] for each in one.json()["errors"]]) for one in refused]
    assert errors == [(422, ["completion_policy"])] * 3
    # What was said before that is read, changed and copied.
    await rows("UPDATE tasks.task SET completion_policy = 'quorum:50' WHERE id = :id", id=task["id"])
    assert (await roster.ok("owner", "GET", path))["completion_policy"] == "quorum:50"
    changed = await roster.ok("owner", "PATCH", path, {"title": "b"})
    assert (changed["title"], changed["completion_policy"]) == ("b", "quorum:50")
    assert (await roster.ok("owner", "POST", f"{path}/duplicate", {}))["completion_policy"] == "quorum:50"
