"""Moving tasks between projects (B14): keys, statuses, subtasks, and who sees what afterwards."""

import asyncio
from collections import Counter

import pytest
from chassis.ids import uuid7
from sqlalchemy import text
from testkit.statements import statements_seen
from testkit.waiting import eventually

LOG = "SELECT type, version, changes, audience FROM tasks.change WHERE entity_id = :id ORDER BY seq"

LOST_BY = "SELECT lost_by FROM tasks.change WHERE entity_id = :id AND type = 'task.moved.v1'"


@pytest.fixture
async def team(roster):
    return roster


@pytest.fixture
def project(team):
    async def make(name="Q", **fields):
        return await team.ok(
            "owner", "POST", "/projects", {"name": name, "workspace_id": str(team.workspace_id), **fields}
        )

    return make


@pytest.fixture
def move(team):
    async def move(task, project, who="owner", headers=None, **more):
        body = {"project_id": project["id"] if isinstance(project, dict) else str(project), **more}
        name = task["id"] if isinstance(task, dict) else task
        return await team.ask(who, "POST", f"/tasks/{name}/move", body, **(headers or {}))

    return move


@pytest.fixture
def read(team):
    async def read(task, who="owner", query=""):
        return await team.ok(who, "GET", f"/tasks/{task['id'] if isinstance(task, dict) else task}{query}")

    return read


@pytest.fixture
def status(team):
    async def make(project, key, category):
        body = {"name": key, "key": key, "category": category}
        return await team.ok("owner", "POST", f"/projects/{project}/statuses", body)

    return make


def codes(answer):
    return answer.status_code, [one["code"] for one in answer.json()["errors"]]


async def test_b14_a_task_moves_with_all_below_it_and_gets_new_keys(team, project, move, read, rows):
    there = await project(prefix="ROAD")
    await team.task(title="first there", project_id=there["id"])
    top = await team.task(title="top")
    root = await team.task(title="root", parent_id=top["id"])
    middle = await team.task(title="middle", parent_id=root["id"])
    leaf = await team.task(title="leaf", parent_id=middle["id"], status="done")
    gone = await team.task(title="gone", parent_id=root["id"])
    await team.ok("owner", "DELETE", f"/tasks/{gone['id']}")
    answer = await move(root, there)
    data = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{data["version"]}"')
    assert (data["key"], data["project_id"], data["parent_id"], data["progress"]) == (
        "ROAD-2",
        there["id"],
        None,
        {"done": 0, "total": 1},
    )
    assert "warnings" not in answer.json()["meta"]
    found = {one["title"]: one for one in [await read(middle), await read(leaf)]}
    assert {one["project_id"] for one in found.values()} == {there["id"]}
    assert {data["key"], *(one["key"] for one in found.values())} < {f"ROAD-{number}" for number in range(2, 6)}
    assert (found["middle"]["parent_id"], found["leaf"]["parent_id"]) == (root["id"], middle["id"])
    assert found["middle"]["progress"] == {"done": 1, "total": 1}
    assert found["leaf"]["completed_at"] == leaf["completed_at"]
    assert (await read(top))["progress"] == {"done": 0, "total": 0}
    assert await rows("SELECT project_id::text FROM tasks.task WHERE id = :id", id=gone["id"]) == [(there["id"],)]
    back = await team.ok("owner", "POST", f"/tasks/{gone['id']}/restore")
    assert (back["project_id"], back["parent_id"]) == (there["id"], root["id"])
    assert (await read(root))["progress"] == {"done": 0, "total": 2}
    listed = await team.ok("owner", "GET", f"/tasks?project_id={there['id']}&per_page=100")
    assert [one["title"] for one in sorted(listed, key=lambda one: one["position"])][:2] == ["first there", "root"]
    new = await team.task(title="new", project_id=there["id"])
    assert (new["key"], new["position"] > max(one["position"] for one in listed)) == ("ROAD-6", True)


async def test_b14_a_former_key_still_finds_the_task(team, project, move, read):
    task, there, third = await team.task(), await project(prefix="ROAD"), await project("R", prefix="THIRD")
    assert (await move(task["key"], there)).json()["data"]["key"] == "ROAD-1"
    assert (await move("ROAD-1", third)).json()["data"]["key"] == "THIRD-1"
    back = await move(task["key"], team.project_id)
    assert back.status_code == 200
    for key in (task["key"], "road-1", "THIRD-1"):
        answer = await team.ask("owner", "GET", f"/tasks/{key}")
        assert answer.json()["data"]["id"] == task["id"]
        assert answer.json()["meta"]["moved_from"] == key.upper()
    now = await team.ask("owner", "GET", f"/tasks/{back.json()['data']['key']}")
    assert "moved_from" not in now.json()["meta"]


async def test_b14_one_event_for_each_task_tells_what_was_and_is_and_who_lost_it(team, project, move, rows, read):
    there = await project(visibility="private")
    root = await team.task(title="root", assignees=[team.id("member"), team.id("owner")])
    leaf = await team.task(title="leaf", parent_id=root["id"])
    before = len(await team.log())
    assert (await move(root, there)).status_code == 200
    log = await team.log_after(before)
    assert [kind for kind, _, _ in log] == ["task.moved.v1", "task.moved.v1", "watcher.removed.v1"]
    for (_, changes, audience), task in zip(log[:2], (root, leaf), strict=True):
        now = await read(task)
        assert audience == {"owner", "admin"}
        [(lost_by,)] = await rows(LOST_BY, id=task["id"])
        assert set(lost_by) == {team.ids[name] for name in set(team.ids) - {"stranger", "guest", "owner", "admin"}}
        assert changes["project_id"] == (str(team.project_id), there["id"])
        assert changes["key"] == (task["key"], now["key"])
        assert (now["version"], "status" in changes, "progress" in changes) == (
            (await rows("SELECT max(version) FROM tasks.change WHERE entity_id = :id", id=task["id"]))[0][0],
            False,
            False,
        )
    assert log[0][1]["assigned_to"] == (team.id("member"), team.id("owner"))


async def test_b14_who_does_not_see_the_other_project_is_out_at_once(team, project, move, rows, read):
    there = await project(visibility="private")
    task = await team.task(assignees=[team.id("member"), team.id("colleague")])
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{team.id('colleague')}", {"role": "viewer"})
    for who in ("member", "colleague", "viewer"):
        await team.ok(who, "POST", f"/tasks/{task['id']}/watchers", {"user_id": team.id(who)})
        await team.ok(who, "PUT", f"/tasks/{task['id']}/star")
    item = await team.ok(
        "owner", "POST", f"/tasks/{task['id']}/checklist", {"text": "a", "assignee_id": team.id("member")}
    )
    answer = await move(task, there)
    data = answer.json()["data"]
    assert (data["assignees"], data["assigned_to"]) == (team.several("colleague"), team.id("colleague"))
    [warning] = answer.json()["meta"]["warnings"]
    assert (warning["code"], warning["task_id"], warning["user_ids"]) == (
        "ASSIGNEE_DROPPED",
        task["id"],
        team.several("member"),
    )
    for who in ("member", "viewer", "editor"):
        for name in (task["id"], task["key"], data["key"]):
            assert (await team.ask(who, "GET", f"/tasks/{name}")).status_code == 404
    for who in ("owner", "admin", "colleague"):
        assert (await read(task, who))["id"] == task["id"]
    for table in ("watcher", "star", "assignee"):
        query = "SELECT user_id FROM tasks.{} WHERE task_id = :id"
        found = await rows(query.format(table), id=task["id"])
        assert not {one for (one,) in found} & {team.ids["member"], team.ids["viewer"]}, table
        assert (team.ids["colleague"],) in found
    [left] = await team.ok("owner", "GET", f"/tasks/{task['id']}/checklist")
    assert (left["id"], left["assignee_id"]) == (item["id"], None)


async def test_b14_comments_relations_and_shares_stay(team, project, move, read):
    there = await project()
    task, other = await team.task(), await team.task()
    await team.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "c"})
    await team.ok("owner", "POST", f"/tasks/{task['id']}/relations", {"type": "relates_to", "task_id": other["id"]})
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{team.id('guest')}", {"role": "viewer"})
    assert (await move(task, there)).status_code == 200
    for path, count in (("comments", 1), ("relations", 1), ("shares", 1)):
        assert len(await team.ok("owner", "GET", f"/tasks/{task['id']}/{path}")) == count, path
    assert (await read(task, "guest"))["project_id"] == there["id"]


async def test_b14_a_status_is_mapped_or_the_same_or_of_the_same_category_or_refused(team, project, move, status, rows):
    there = await project()
    for key, category in (("review", "in_progress"), ("idea", "backlog"), ("shipped", "done")):
        await status(team.project_id, key, category)
    await status(there["id"], "shipped", "in_progress")
    same = await move(await team.task(status="in_progress"), there)
    assert same.json()["data"]["status"] == "in_progress"
    alike = (await move(await team.task(status="review"), there)).json()["data"]
    assert (alike["status"], alike["status_category"]) == ("in_progress", "in_progress")
    done = await team.task(status="done")
    kept = (await move(done, there)).json()["data"]
    assert (kept["completed_at"], kept["completed_by"]) == (done["completed_at"], done["completed_by"])
    shipped = await team.task(status="shipped")
    opened = (await move(shipped, there)).json()["data"]
    assert (opened["status_category"], opened["completed_at"], opened["completed_by"]) == ("in_progress", None, None)
    closed = (await move(await team.task(), there, who="admin", status_map={"todo": "done"})).json()["data"]
    assert (closed["status"], closed["completed_by"], closed["completed_at"] is None) == (
        "done",
        team.id("admin"),
        False,
    )
    idea = await team.task(title="root")
    child = await team.task(status="idea", parent_id=idea["id"])
    before = len(await team.log())
    refused = await move(idea, there)
    assert codes(refused) == (422, ["STATUS_UNMAPPED"])
    assert refused.json()["data"] == {"statuses": ["idea"]}
    assert len(await team.log()) == before
    mapped = await move(idea, there, status_map={"idea": "todo"})
    assert mapped.status_code == 200
    assert await rows("SELECT status FROM tasks.task WHERE id = :id", id=child["id"]) == [("todo",)]
    for wrong in ({"todo": "nothing"}, {"nothing": "todo"}):
        assert codes(await move(await team.task(), there, status_map=wrong)) == (422, ["STATUS_NOT_FOUND"])


async def test_b14_progress_follows_the_categories_there(team, project, move, status, read):
    there = await project()
    await status(team.project_id, "odd", "in_progress")
    await status(there["id"], "odd", "cancelled")
    root = await team.task()
    for state in ("odd", "todo", "done"):
        await team.task(parent_id=root["id"], status=state)
    moved = (await move(root, there)).json()["data"]
    assert moved["progress"] == {"done": 1, "total": 2}
    assert (await read(root))["version"] == moved["version"]


async def test_b14_a_status_that_completes_a_task_is_held_to_what_completions_are(team, project, move, read):
    there = await project(enforce_blockers="block")
    root = await team.task()
    child = await team.task(parent_id=root["id"], status="in_progress")
    refused = await move(root, there, status_map={"todo": "done"})
    assert codes(refused) == (409, ["OPEN_SUBTASKS"])
    assert refused.json()["data"] == {"count": 1, "task_ids": [child["id"]]}
    assert (await read(root))["project_id"] == str(team.project_id)
    assert (await move(root, there, status_map={"todo": "done", "in_progress": "done"})).status_code == 200
    blocked, blocker = await team.task(), await team.task()
    await team.ok("owner", "POST", f"/tasks/{blocker['id']}/relations", {"type": "blocks", "task_id": blocked["id"]})
    refused = await move(blocked, there, status_map={"todo": "done"})
    assert codes(refused) == (409, ["BLOCKED_BY"])


async def test_b14_answers_are_asked_for_again_when_a_move_opens_a_task(team, project, move, status):
    there = await project()
    await status(team.project_id, "shipped", "done")
    await status(there["id"], "shipped", "todo")
    task = await team.task(assignees=team.several("member"))
    await team.ok("member", "PATCH", f"/tasks/{task['id']}/assignees/{team.id('member')}", {"state": "done"})
    await team.ok("owner", "PATCH", f"/tasks/{task['id']}", {"status": "shipped"})
    assert (await move(task, there)).json()["data"]["status_category"] == "todo"
    [one] = await team.ok("owner", "GET", f"/tasks/{task['id']}/assignees")
    assert one["state"] == "pending"


async def test_b14_where_it_is_already_a_task_stays(team, move):
    task = await team.task()
    before = len(await team.log())
    answer = await move(task, team.project_id)
    assert (answer.status_code, answer.json()["data"]) == (200, task)
    assert len(await team.log()) == before
    assert codes(await move(task, team.project_id, headers={"if-match": '"9"'})) == (412, ["VERSION_CONFLICT"])


async def test_b14_a_move_is_for_the_state_that_it_names(team, project, move, rows):
    there, task = await project(), await team.task()
    assert codes(await move(task, there, headers={"if-match": '"9"'})) == (412, ["VERSION_CONFLICT"])
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=team.workspace_id)
    assert codes(await move(task, there)) == (428, ["IF_MATCH_REQUIRED"])
    assert (await move(task, there, headers={"if-match": '"1"'})).json()["data"]["version"] == 2


async def test_b14_a_project_that_is_hidden_is_answered_as_one_that_is_absent(team, project, move, test_gateway):
    task, there = await team.task(), await project(visibility="private")
    trace = {"x-request-id": str(uuid7())}
    hidden = await move(task, there, who="member", headers=trace)
    absent = await move(task, uuid7(), who="member", headers=trace)
    assert codes(hidden) == (422, ["PROJECT_NOT_FOUND"])
    assert hidden.content == absent.content
    token = test_gateway.token_headers(team.ids["owner"], "tasks:read", "tasks:write", project_ids=[team.project_id])
    out_of_reach = await move(task, there, headers=token | trace)
    assert (out_of_reach.status_code, out_of_reach.content) == (422, absent.content)


async def test_b14_it_needs_both_projects(team, project, move, rows):
    there = await project()
    task = await team.task()
    other = await team.task(project_id=there["id"])
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :p, :u, 'viewer', 1, now())",
        w=team.workspace_id,
        p=there["id"],
        u=team.ids["editor"],
    )
    assert codes(await move(task, there, who="editor")) == (403, ["FORBIDDEN"])
    assert codes(await move(other, team.project_id, who="editor")) == (403, ["FORBIDDEN"])
    await team.ok("owner", "POST", f"/projects/{there['id']}/archive")
    assert codes(await move(task, there)) == (409, ["PROJECT_ARCHIVED"])
    assert codes(await move(other, team.project_id)) == (409, ["PROJECT_ARCHIVED"])


async def test_b14_another_workspace_is_refused(team, move, read):
    mine = await team.ok("owner", "POST", "/tasks", {"title": "in the Inbox"})
    task = await team.task()
    answer = await move(task, mine["project_id"], drop_unmapped_labels=True)
    assert codes(answer) == (422, ["ANOTHER_WORKSPACE"])
    assert await read(task) == task


async def test_b14_an_external_id_is_one_tasks_there_too(team, project, move):
    there, origin = await project(), {"external_source": "jira", "external_id": "1"}
    await team.task(project_id=there["id"], **origin)
    root = await team.task()
    await team.task(parent_id=root["id"], **origin)
    assert codes(await move(root, there)) == (409, ["EXTERNAL_ID_TAKEN"])


async def test_b14_what_is_seen_by_a_share_alone_is_not_taken_out_of_its_project(team, project, move, rows):
    there = await project()
    root = await team.task()
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :p, :u, 'editor', 1, now())",
        w=team.workspace_id,
        p=there["id"],
        u=team.ids["guest"],
    )
    await team.ok("owner", "PUT", f"/tasks/{root['id']}/shares/{team.id('guest')}", {"role": "editor"})
    child = await team.task(parent_id=root["id"])
    assert codes(await move(root, there, who="guest")) == (403, ["FORBIDDEN"])
    await team.ok("owner", "PATCH", f"/tasks/{child['id']}", {"parent_id": None})
    assert codes(await move(root, there, who="guest")) == (403, ["FORBIDDEN"])


async def test_b14_statements_do_not_grow_with_the_tasks(team, project, move, database):
    there = await project(visibility="private")
    counts = []
    for size in (1, 12):
        root = await team.task()
        for _ in range(size):
            await team.task(parent_id=root["id"])
        with statements_seen(database.writer) as seen:
            assert (await move(root, there)).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]


async def test_b14_of_two_moves_at_once_the_later_one_wins_and_keys_are_used_once(
    patient_api, team, project, read, rows
):
    there, third, task = await project(prefix="ROAD"), await project("R", prefix="THIRD"), await team.task()
    headers = team.gateway.headers(team.ids["owner"])
    path = f"/api/v1/tasks/{task['id']}/move"
    targets = [one["id"] for one in (there, third) for _ in range(5)]
    answers = await asyncio.gather(
        *(patient_api.post(path, json={"project_id": one}, headers=headers) for one in targets)
    )
    assert [one.status_code for one in answers] == [200] * 10
    now = await read(task)
    assert now["project_id"] in {there["id"], third["id"]}
    log = await rows(LOG, id=task["id"])
    moves = [version for kind, version, _, _ in log if kind == "task.moved.v1"]
    assert moves == list(range(2, now["version"] + 1))
    numbers = await rows(
        "SELECT sum(next_number - 1)::int FROM tasks.project WHERE id IN (:a, :b)", a=there["id"], b=third["id"]
    )
    assert numbers == [(len(moves),)]
    keys = await rows("SELECT count(DISTINCT key)::int FROM tasks.task_key_alias WHERE task_id = :id", id=task["id"])
    assert keys == [(len(moves),)]


async def test_b14_twenty_tasks_moved_at_once_get_keys_of_their_own(patient_api, team, project, rows):
    there = await project(prefix="ROAD")
    made = [await team.task() for _ in range(20)]
    headers = team.gateway.headers(team.ids["owner"])

    async def move(task):
        path, answer = f"/api/v1/tasks/{task['id']}/move", None
        while answer is None or answer.status_code == 503:
            # Who waits too long, as on a busy machine, asks again.
            answer = await patient_api.post(path, json={"project_id": there["id"]}, headers=headers)
        return answer

    answers = await asyncio.gather(*(move(one) for one in made))
    assert {one.status_code for one in answers} == {200}
    assert {one.json()["data"]["key"] for one in answers} == {f"ROAD-{number}" for number in range(1, 21)}
    assert len({one.json()["data"]["position"] for one in answers}) == 20


async def test_b14_changes_during_a_move_are_made_before_or_after_it(patient_api, team, project, read, rows):
    there = await project()
    headers = team.gateway.headers(team.ids["owner"])
    tasks = [await team.task() for _ in range(10)]
    asked = [
        patient_api.request(method, f"/api/v1/tasks/{task['id']}{path}", json=body, headers=headers)
        for task in tasks
        for method, path, body in (
            ("POST", "/move", {"project_id": there["id"]}),
            ("PATCH", "", {"title": "b", "status": "in_progress"}),
            ("PATCH", "", {"priority": "high"}),
        )
    ]
    answers = await asyncio.gather(*asked)
    assert Counter(one.status_code for one in answers) == {200: 30}
    for task in tasks:
        now = await read(task)
        assert (now["project_id"], now["title"], now["status"], now["priority"], now["version"]) == (
            there["id"],
            "b",
            "in_progress",
            "high",
            4,
        )
        log = await rows(LOG, id=task["id"])
        assert [version for _, version, _, _ in log] == [1, 2, 3, 4]


async def test_b14_a_status_that_is_deleted_meanwhile_is_mapped_or_not_needed(patient_api, team, project, status, rows):
    headers = team.gateway.headers(team.ids["owner"])
    await status(team.project_id, "review", "in_progress")
    for _ in range(5):
        there = await project(uuid7().hex)
        review = await status(there["id"], "review", "in_progress")
        task = await team.task(status="review")
        deleting = f"/api/v1/projects/{there['id']}/statuses/{review['id']}?move_to=todo"
        moved, deleted = await asyncio.gather(
            patient_api.post(f"/api/v1/tasks/{task['id']}/move", json={"project_id": there["id"]}, headers=headers),
            patient_api.delete(deleting, headers=headers),
        )
        assert (moved.status_code, deleted.status_code) == (200, 200), moved.text
        [(found, key)] = await rows("SELECT project_id::text, status FROM tasks.task WHERE id = :id", id=task["id"])
        # Deleted before, the status is mapped to another of its category; after, the task gets the one named.
        assert (found, key in {"in_progress", "todo"}) == (there["id"], True)


async def test_b14_nothing_is_left_to_who_loses_sight_of_a_task_while_they_take_it(patient_api, team, project, rows):
    there = await project(visibility="private")
    asked = []
    tasks = [await team.task() for _ in range(10)]
    for task in tasks:
        path = f"/api/v1/tasks/{task['id']}"
        for who, tail, body in (
            ("owner", "/move", {"project_id": there["id"]}),
            ("member", "/watchers", {"user_id": team.id("member")}),
            ("member", "/assignees", {"user_id": team.id("member")}),
        ):
            headers = team.gateway.headers(team.ids[who])
            asked.append(patient_api.post(path + tail, json=body, headers=headers))
    answers = await asyncio.gather(*asked)
    for task, moved in zip(tasks, answers[::3], strict=True):
        if moved.status_code == 503:
            # Waited too long, as on a busy machine: clients ask again.
            await team.ok("owner", "POST", f"/tasks/{task['id']}/move", {"project_id": there["id"]})
    assert {one.status_code for one in answers[::3]} <= {200, 503}
    assert {one.status_code for one in answers} <= {200, 201, 404, 422, 503}
    left = "SELECT count(*)::int FROM tasks.{} WHERE user_id = :member AND workspace_id = :workspace"
    for table in ("watcher", "assignee"):
        place = {"member": team.ids["member"], "workspace": team.workspace_id}
        assert await rows(left.format(table), **place) == [(0,)], table
    assigned = "SELECT count(*)::int FROM tasks.task WHERE :member = ANY (assignees)"
    assert await rows(assigned, member=team.ids["member"]) == [(0,)]


async def test_b14_who_begins_to_watch_while_a_task_leaves_their_sight_waits_and_is_refused(
    patient_api, team, project, rows, database
):
    there, task = await project(visibility="private"), await team.task()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    path = f"/api/v1/tasks/{task['id']}"

    def ask(who, tail, body):
        headers = team.gateway.headers(team.ids[who])
        return asyncio.ensure_future(patient_api.post(path + tail, json=body, headers=headers))

    async def are_waiting(count):
        async def reached():
            return len(await rows(waiting)) >= count

        await eventually(reached)

    async with database.writer.begin() as connection:
        # The move has done everything but its last step, which waits for this.
        counter = text("SELECT 1 FROM tasks.change_counter WHERE workspace_id = :id FOR UPDATE")
        await connection.execute(counter, {"id": team.workspace_id})
        move = ask("owner", "/move", {"project_id": there["id"]})
        await are_waiting(1)
        watch = ask("member", "/watchers", {"user_id": team.id("member")})
        await are_waiting(2)
    assert ((await move).status_code, (await watch).status_code) == (200, 422)
    assert await rows("SELECT 1 FROM tasks.watcher WHERE user_id = :id", id=team.ids["member"]) == []


async def test_b14_what_is_restored_during_a_move_is_where_its_parent_is(patient_api, team, project, rows):
    headers = team.gateway.headers(team.ids["owner"])
    there = await project()
    for _ in range(8):
        root = await team.task()
        gone = await team.task(parent_id=root["id"])
        await team.ok("owner", "DELETE", f"/tasks/{gone['id']}")
        moved, restored = await asyncio.gather(
            patient_api.post(f"/api/v1/tasks/{root['id']}/move", json={"project_id": there["id"]}, headers=headers),
            patient_api.post(f"/api/v1/tasks/{gone['id']}/restore", headers=headers),
        )
        assert (moved.status_code, restored.status_code in {200, 503}) == (200, True), restored.text
        found = await rows(
            "SELECT child.project_id = parent.project_id, child.deleted_at IS NULL, parent.subtasks_total"
            " FROM tasks.task child JOIN tasks.task parent ON parent.id = child.parent_id WHERE child.id = :id",
            id=gone["id"],
        )
        is_back = restored.status_code == 200
        assert found == [(True, is_back, int(is_back))]


async def test_b14_subtasks_made_during_a_move_are_with_their_parent_or_refused(patient_api, team, project, rows):
    headers = team.gateway.headers(team.ids["owner"])
    there = await project()
    for _ in range(5):
        root = await team.task()
        body = {"title": "c", "project_id": str(team.project_id), "parent_id": root["id"]}
        answers = await asyncio.gather(
            patient_api.post("/api/v1/tasks", json=body, headers=headers),
            patient_api.post(f"/api/v1/tasks/{root['id']}/move", json={"project_id": there["id"]}, headers=headers),
            patient_api.post("/api/v1/tasks", json=body, headers=headers),
        )
        assert answers[1].status_code == 200
        for one in (answers[0], answers[2]):
            assert one.status_code == 201 or codes(one) == (422, ["PARENT_NOT_FOUND"])
        strays = await rows(
            "SELECT 1 FROM tasks.task child JOIN tasks.task parent ON parent.id = child.parent_id"
            " WHERE parent.id = :id AND child.project_id <> parent.project_id",
            id=root["id"],
        )
        assert strays == []
        made = sum(one.status_code == 201 for one in (answers[0], answers[2]))
        assert await rows("SELECT subtasks_total FROM tasks.task WHERE id = :id", id=root["id"]) == [(made,)]
