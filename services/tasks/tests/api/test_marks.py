"""What tasks are found by that have sets: marks are what the tasks say, and lists of a mark are as others."""

import asyncio

MISFITS = """
    WITH wanted AS (
        SELECT id, mark, project_id, status, status_category, priority, priority_rank, due_sort, updated_at
        FROM tasks.task, unnest(assignees || labels) AS mark
        WHERE deleted_at IS NULL AND workspace_id = :w
    ),
    kept AS (
        SELECT task_id, mark, project_id, status, status_category, priority, priority_rank, due_sort, updated_at
        FROM tasks.task_mark
        WHERE task_id IN (SELECT id FROM tasks.task WHERE workspace_id = :w)
    )
    (TABLE wanted EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE wanted)
"""
MARKS = "SELECT count(*) FROM tasks.task_mark WHERE task_id = :t"


async def labels(roster, *names, who="owner", personal=False):
    of = {"personal": True} if personal else {"workspace_id": str(roster.workspace_id)}
    return [(await roster.ok(who, "POST", "/labels", {"name": name, **of}))["id"] for name in names]


async def misfits(roster):
    return await roster.rows(MISFITS, w=roster.workspace_id)


async def kept(roster, task):
    return (await roster.rows(MARKS, t=task["id"]))[0][0]


async def titles(roster, who, query):
    answer = await roster.ask(who, "GET", f"/tasks?{query}")
    meta = answer.json()["meta"]
    assert (meta["total"], meta["total_is_estimate"]) == (len(answer.json()["data"]), False)
    return [one["title"] for one in answer.json()["data"]]


async def test_d1_marks_follow_a_task_through_all_that_may_happen_to_it(roster):
    late, other = await labels(roster, "late", "other")
    body = {"name": "Another", "workspace_id": str(roster.workspace_id)}
    project = await roster.ok("owner", "POST", "/projects", body)
    task = await roster.task(assignees=roster.several("member", "viewer"), labels=[late])
    path, version = f"/tasks/{task['id']}", {"If-Match": "*"}
    assert (await kept(roster, task), await misfits(roster)) == (3, [])

    for patch, count in (
        ({"priority": "urgent", "due": "2026-12-01"}, 3),
        ({"status": "done"}, 3),
        ({"labels": [late, other]}, 4),
        ({"assignees": roster.several("member")}, 3),
        ({"due": None}, 3),
    ):
        await roster.ok("owner", "PATCH", path, patch, **version)
        assert (await kept(roster, task), await misfits(roster)) == (count, []), patch
    await roster.ok("owner", "POST", f"{path}/move", {"project_id": project["id"]}, **version)
    assert (await kept(roster, task), await misfits(roster)) == (3, [])
    await roster.ok("owner", "DELETE", path, **version)
    assert await kept(roster, task) == 0
    await roster.ok("owner", "POST", f"{path}/restore")
    assert (await kept(roster, task), await misfits(roster)) == (3, [])
    await roster.ok("owner", "DELETE", f"/labels/{other}", **version)
    assert (await kept(roster, task), await misfits(roster)) == (2, [])
    await roster.rows("DELETE FROM tasks.assignee WHERE task_id = :t", t=task["id"])
    await roster.rows("DELETE FROM tasks.task WHERE id = :t", t=task["id"])
    assert await kept(roster, task) == 0


async def test_d1_changes_at_once_leave_the_marks_of_the_last(roster):
    marks = await labels(roster, *"abcdefgh")
    task = await roster.task(assignees=roster.several("member"))
    changes = [{"labels": [one, marks[0]]} for one in marks]
    changes += [{"assignees": roster.several(who)} for who in ("member", "viewer", "editor", "owner")]
    path = f"/tasks/{task['id']}"

    answers = await asyncio.gather(
        *(roster.ask("owner", "PATCH", path, one, **{"If-Match": "*"}) for one in changes for _ in range(2))
    )

    assert {one.status_code for one in answers} == {200}
    assert await misfits(roster) == []
    shown = await roster.ok("owner", "GET", path)
    assert await kept(roster, task) == len({*shown["labels"], *shown["assignees"]})


async def test_d1_a_label_of_ones_own_is_found_beside_those_of_the_workspace_and_by_nobody_else(roster):
    [late] = await labels(roster, "late")
    [mine] = await labels(roster, "mine", who="member", personal=True)
    first = await roster.task(title="first", labels=[late])
    second = await roster.task(title="second", due="2026-12-01")
    for task in (first, second):
        await roster.ok("member", "PUT", f"/tasks/{task['id']}/labels/{mine}")

    assert await titles(roster, "member", f"labels={mine}&sort=due") == ["second", "first"]
    assert await titles(roster, "member", f"labels={mine}&sort=-title") == ["second", "first"]
    assert await titles(roster, "member", f"labels={mine},{late}&sort=title") == ["first", "second"]
    assert await titles(roster, "member", f"labels={late}") == ["first"]
    assert await titles(roster, "owner", f"labels={mine}") == []


async def test_f4_a_task_that_is_shared_by_itself_is_found_once_by_its_mark(roster):
    """A share without a place: by the label, the assignee, and a label of one's own."""
    [late] = await labels(roster, "late")
    for title in ("shared", "hidden"):
        task = await roster.task(title=title, labels=[late], assignees=roster.several("owner"))
        if title == "shared":
            share = f"/tasks/{task['id']}/shares/{roster.id('guest')}"
            await roster.ok("owner", "PUT", share, {"role": "editor"})
            [mine] = await labels(roster, "mine", who="guest", personal=True)
            await roster.ok("guest", "PUT", f"/tasks/{task['id']}/labels/{mine}")

    for query in (f"labels={late}", f"assignee={roster.id('owner')}", f"labels={mine}", f"labels={mine}&sort=due"):
        assert await titles(roster, "guest", query) == ["shared"], query
    assert await titles(roster, "owner", f"labels={late}&sort=-updated_at") == ["hidden", "shared"]


async def test_d2_marks_are_filtered_by_what_is_kept_with_them_as_by_the_task(roster):
    for number, (status, priority) in enumerate((("todo", "low"), ("done", "high"), ("in_progress", "high"))):
        await roster.task(title=f"t{number}", status=status, priority=priority, assignees=roster.several("member"))
    await roster.task(title="of nobody", priority="high")

    assert await titles(roster, "member", "assignee=me&status=done,todo&sort=-priority,due") == ["t1", "t0"]
    assert await titles(roster, "member", "filter=assignee = me and not priority = low") == ["t2", "t1"]
    assert await titles(roster, "member", "filter=assignee = me and status_category != done&sort=due") == ["t0", "t2"]
    changed = "filter=assignee = me and updated_at > 2020-01-01&sort=updated_at"
    assert await titles(roster, "member", changed) == ["t0", "t1", "t2"]


async def test_d2_what_is_a_label_is_nobody_and_who_is_somebody_is_no_label(roster):
    [late] = await labels(roster, "late")
    await roster.task(title="labelled", labels=[late])
    await roster.task(title="assigned", assignees=roster.several("member"))
    both = roster.id("member"), late

    for query in (f"assignee={late}", f"assigned_to={late}", f"labels={both[0]}", f"labels={both[0]}&q=assigned"):
        for sort in ("-id", "due", "title"):
            assert await titles(roster, "owner", f"{query}&sort={sort}") == [], query
    assert await titles(roster, "owner", f"assignee={both[0]},{late}") == ["assigned"]
    assert await titles(roster, "owner", f"labels={both[0]},{late}") == ["labelled"]
    assert await titles(roster, "owner", f"filter=labels has_all ({late}, {both[0]})") == []
