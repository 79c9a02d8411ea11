"""Deleted workspaces (N1) are kept for 30 days, and then nothing of them is."""

from itertools import pairwise

import pytest
from chassis.db.transactions import transaction
from tasks_service import scheduler
from tasks_service.models import METADATA
from testkit.jobs import run_to_end

TABLES = [table.name for table in METADATA.sorted_tables if "workspace_id" in table.c]
CHAIN = """
    INSERT INTO tasks.task (id, workspace_id, project_id, number, title, status, priority, parent_id, created_by,
        version, created_at, updated_at)
    SELECT uuidv7(), workspace_id, project_id, 100000 + row_number() OVER (), 't', 'todo', 'none', id, created_by, 1,
        now(), now()
    FROM tasks.task WHERE workspace_id = :workspace AND parent_id IS NULL
"""
TASKS = """
    INSERT INTO tasks.task (id, workspace_id, project_id, number, title, status, priority, created_by, version,
        created_at, updated_at)
    SELECT uuidv7(), :workspace, :project, 100 + n, 't', 'todo', 'none', :owner, 1, now(), now()
    FROM generate_series(1, 1200) n
"""
AGE = "UPDATE tasks.workspace SET deleted_at = now() - make_interval(days => :days) WHERE id = :workspace"


@pytest.fixture
def counts(rows):
    """Counts the rows of a workspace, by table."""

    async def counts(place):
        query = "SELECT count(*) FROM tasks.{} WHERE workspace_id = :workspace"
        found = [await rows(query.format(table), workspace=place["workspace"]) for table in TABLES]
        return {table: many for table, ((many,),) in zip(TABLES, found, strict=True)}

    return counts


@pytest.fixture
def purge(database, settings):
    """Runs the job once; returns whether there may be more."""
    (job,) = (job for job in scheduler.jobs(settings) if job.name == "purge-workspaces")

    async def purge():
        async with transaction(database) as session:
            return await job.run(session)

    return purge


async def filled(place, task_of, mark, rows, api, test_gateway):
    one = await place(owner="owner", member="member")
    task = await task_of(one, one["member"])
    await mark(one, task, one["member"])
    headers = test_gateway.headers(one["owner"])
    path = f"/api/v1/tasks/{task}"
    comment = (await api.post(f"{path}/comments", json={"body": "c"}, headers=headers)).json()["data"]
    answer = {"body": "r", "parent_id": comment["id"]}
    assert (await api.post(f"{path}/comments", json=answer, headers=headers)).status_code == 201
    await rows(
        "INSERT INTO tasks.category VALUES (uuidv7(), :workspace, NULL, 'c', 'c', NULL, :owner, 1, now(), now())",
        workspace=one["workspace"],
        owner=one["owner"],
    )
    await rows(
        "UPDATE tasks.task SET category_id = (SELECT id FROM tasks.category WHERE workspace_id = :workspace)"
        " WHERE workspace_id = :workspace",
        workspace=one["workspace"],
    )
    await rows(
        "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, parent_id, created_by, version, created_at,"
        " updated_at) VALUES (uuidv7(), :workspace, 'Q', false, :project, :owner, 1, now(), now())",
        workspace=one["workspace"],
        project=one["project"],
        owner=one["owner"],
    )
    return one


async def test_n1_a_deleted_workspace_is_purged_in_batches_and_others_are_not(
    place, task_of, mark, rows, api, test_gateway, counts, purge
):
    gone, recent, live = [await filled(place, task_of, mark, rows, api, test_gateway) for _ in range(3)]
    await rows(TASKS, workspace=gone["workspace"], project=gone["project"], owner=gone["owner"])
    await rows(CHAIN, workspace=gone["workspace"])
    await rows(AGE, workspace=gone["workspace"], days=31)
    await rows(AGE, workspace=recent["workspace"], days=29)
    kept = [await counts(recent), await counts(live)]
    left = [sum((await counts(gone)).values())]
    assert left[0] > 2400
    while await purge():
        left.append(sum((await counts(gone)).values()))
    steps = [before - after for before, after in pairwise(left)]
    assert steps == [1000, 1000, left[0] - 2000, 0]
    assert set((await counts(gone)).values()) == {0}
    found = "SELECT count(*) FROM tasks.workspace WHERE id = :workspace"
    assert await rows(found, workspace=gone["workspace"]) == [(0,)]
    noted = "SELECT count(*) FROM tasks.purged_workspace WHERE id = ANY (:places)"
    assert await rows(noted, places=[one["workspace"] for one in (gone, recent, live)]) == [(1,)]
    assert [await counts(recent), await counts(live)] == kept


async def test_n1_nothing_to_purge_is_one_look(database, settings, rows):
    await rows("UPDATE tasks.workspace SET deleted_at = NULL WHERE deleted_at IS NOT NULL")
    assert await run_to_end(database, scheduler.jobs(settings), "purge-workspaces") == 1
