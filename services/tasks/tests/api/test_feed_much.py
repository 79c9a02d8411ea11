"""The feed of a workspace in which very much has happened: a few statements a page, by indexes, however much it was."""

import json
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import event
from testkit.statements import statements_seen

MUCH = 100_000
COPIES = """
    INSERT INTO tasks.change SELECT made.*
    FROM tasks.change AS one, generate_series(:last + 1, :much) AS n, jsonb_populate_record(one, jsonb_build_object(
        'seq', n, 'event_id', uuidv7(), 'version', n,
        'type', CASE n % 1000 WHEN 0 THEN 'task.moved.v1' ELSE one.type END
    )) AS made
    WHERE one.workspace_id = :w AND one.seq = :last
"""


@pytest.fixture
async def much(roster):
    task = await roster.task()
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "b"})
    ((last,),) = await roster.rows(
        "SELECT last_seq FROM tasks.change_counter WHERE workspace_id = :w", w=roster.workspace_id
    )
    await roster.rows(COPIES, w=roster.workspace_id, last=last, much=MUCH)
    await roster.rows(
        "UPDATE tasks.change_counter SET last_seq = :n WHERE workspace_id = :w", n=MUCH, w=roster.workspace_id
    )
    yield last
    await roster.rows(
        "DELETE FROM tasks.change WHERE workspace_id = :w AND seq > :last", w=roster.workspace_id, last=last
    )


async def test_j4_a_page_takes_as_many_statements_whatever_is_in_it_and_looks_at_no_more_than_a_part(
    roster, database, much, signer
):
    async def read(cursor, **query):
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        with ExitStack() as stack:
            engines = {id(one.sync_engine): one for one in (database.reader, database.writer)}
            seen = [stack.enter_context(statements_seen(one)) for one in engines.values()]
            begun = time.monotonic()
            page = await roster.ok("member", "GET", f"/changes?cursor={cursor}&{asked}")
            took = time.monotonic() - begun
        return page, sum(len(one) for one in seen), took

    middle = signer.position({roster.workspace_id: MUCH // 2})
    await read(middle, limit=1)
    one, few, _ = await read(middle, limit=1)
    many, as_many, took = await read(middle, limit=500)
    assert (len(one["changes"]), len(many["changes"])) == (1, 500)
    assert few == as_many <= 8
    # Of what is rare, a request looks at a part alone, and says that there is more.
    rare, count, took_rare = await read(middle, limit=500, types="task.moved")
    assert (len(rare["changes"]), rare["has_more"], count) == (5, True, few)
    assert signer.read_position(rare["next_cursor"]) == {roster.workspace_id: MUCH // 2 + 5000}
    none, _, _ = await read(middle, types="label.*")
    assert (none["changes"], none["has_more"]) == ([], True)
    assert max(took, took_rare) < 5


def whole_reads(plan):
    """Yield where a plan reads all of the log."""
    if isinstance(plan, list):
        for one in plan:
            yield from whole_reads(one)
    elif isinstance(plan, dict):
        if plan.get("Node Type") == "Seq Scan" and plan["Relation Name"] == "change":
            yield plan
        for one in plan.values():
            yield from whole_reads(one)


async def test_j4_the_log_is_read_by_its_indexes(roster, database, much, signer):
    await roster.rows("ANALYZE tasks.change")
    found = []

    def note(_connection, _cursor, statement, parameters, *_more):
        found.append((statement, parameters))

    event.listen(database.reader.sync_engine, "before_cursor_execute", note)
    try:
        middle = signer.position({roster.workspace_id: MUCH // 2})
        for query in ("limit=500", "types=label.*", f"project_id={roster.project_id}"):
            await roster.ok("member", "GET", f"/changes?cursor={middle}&{query}")
    finally:
        event.remove(database.reader.sync_engine, "before_cursor_execute", note)
    read = [one for one in found if "tasks.change " in one[0]]
    assert len(read) == 6
    async with database.writer.connect() as connection:
        settings = "SELECT set_config('role', 'tasks_caller', true), set_config('taskloom.caller', $1, true)"
        await connection.exec_driver_sql(settings, (roster.id("member"),))
        for statement, parameters in read:
            rows = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            plan = rows.scalar_one()
            assert list(whole_reads(json.loads(plan) if isinstance(plan, str) else plan)) == [], statement
        await connection.rollback()
