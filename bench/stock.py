"""Tasks of the people of a measurement, made in the database, with what the service's triggers do of each.

A quarter is in personal Inboxes, the rest in the projects of teams, in proportion to their members. They are made in
the course of a year; a third is assigned, a third has a due. They have no change log: no read of a task asks for it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

import dataset
from filling import Connection, close_up, connected, lay_open
from people import Person
from stack import Copy

PERSONAL_SHARE = 0.25
IN_PERSONAL = 0.2
"""Which share of reads is of the personal workspace."""
OF_PROJECTS = (5, 3, 2, 1, 1)
"""How the tasks of a team are shared out to its projects."""
WORDS = dataset.WORDS[::40]


@dataclass(frozen=True)
class Stock:
    """Ids of tasks that each person sees, of the personal workspace and of the team."""

    personal: Mapping[UUID, Sequence[UUID]]
    shared: Mapping[UUID, Sequence[UUID]]

    def any_of(self, person: Person, rng: random.Random) -> UUID:
        """Return one of the tasks that somebody sees."""
        where = self.personal if rng.random() < IN_PERSONAL else self.shared
        return rng.choice(where[person.id])


async def make_tasks(copy: Copy, count: int) -> Stock:
    """Put so many tasks into all the workspaces that there are."""
    url = copy.superuser_url()
    await lay_open(url, is_large=True)
    async with connected(url) as connection:
        await connection.execute("SET jit = off")
        await connection.execute("SELECT setseed(0.7)")
        places = await connection.fetch(PLACES, OF_PROJECTS)
        counts = _shares([row["is_inbox"] for row in places], [row["weight"] for row in places], count)
        ids = [row["id"] for row in places]
        await connection.execute(TASKS, ids, counts, WORDS)
        await connection.execute(ASSIGNEES)
        await connection.execute(WATCHERS)
    await close_up(url)
    async with connected(url) as connection:
        return await _stock(connection)


async def vacuum(copy: Copy) -> None:
    """Leave all tables as autovacuum does: whether a count has to look at the rows themselves depends on it."""
    async with connected(copy.superuser_url()) as connection:
        await connection.execute("VACUUM (ANALYZE)")


def _shares(is_inbox: Sequence[bool], weights: Sequence[int], count: int) -> list[int]:
    """Share tasks out: inboxes get the same each, projects by weight; none gets nothing."""
    inbox = round(PERSONAL_SHARE * count / max(1, sum(is_inbox)))
    left, whole = count - inbox * sum(is_inbox), sum(weights)
    ends = [0, *(round(left * part / max(1, whole)) for part in accumulate(weights))]
    return [inbox if own else after - before for own, before, after in zip(is_inbox, ends, ends[1:], strict=False)]


async def _stock(connection: Connection) -> Stock:
    found: dict[bool, dict[UUID, list[UUID]]] = {True: {}, False: {}}
    of_workspace: dict[UUID, list[UUID]] = {}
    for row in await connection.fetch("SELECT workspace_id, id FROM tasks.task"):
        of_workspace.setdefault(row["workspace_id"], []).append(row["id"])
    for row in await connection.fetch(MEMBERS):
        found[row["is_personal"]][row["user_id"]] = of_workspace[row["workspace_id"]]
    return Stock(found[True], found[False])


PLACES = """
    SELECT project.id, project.is_inbox,
        CASE WHEN project.is_inbox THEN 0 ELSE ($1::integer[])[
            row_number() OVER (PARTITION BY project.workspace_id ORDER BY project.id)
        ] * (SELECT count(*) FROM tasks.member WHERE member.workspace_id = project.workspace_id) END AS weight
    FROM tasks.project JOIN tasks.workspace ON workspace.id = project.workspace_id
    WHERE workspace.personal_owner_id IS NULL OR project.is_inbox
    ORDER BY project.id
"""
TASKS = """
    WITH place AS (
        SELECT project.id, project.workspace_id, wanted.number AS tasks,
            ARRAY(SELECT user_id FROM tasks.member WHERE member.workspace_id = project.workspace_id) AS people
        FROM unnest($1::uuid[], $2::integer[]) AS wanted(id, number) JOIN tasks.project USING (id)
    ), drawn AS (
        SELECT place.id, place.workspace_id, number,
            people[1 + (random() * (cardinality(people) - 1))::int] AS somebody,
            statement_timestamp() - interval '360 days' * (1 - number / (tasks + 1.0)) AS made,
            (ARRAY['todo', 'todo', 'todo', 'in_progress', 'done', 'done'])[1 + (random() * 5)::int] AS status,
            (ARRAY['none', 'none', 'low', 'medium', 'high', 'urgent'])[1 + (random() * 5)::int] AS priority,
            random() < 0.35 AS is_due, random() < 0.35 AS is_assigned,
            ARRAY(
                SELECT ($3::text[])[1 + (random() * (cardinality($3) - 1))::int]
                FROM generate_series(1, 26 + 0 * number)
            ) AS words
        FROM place CROSS JOIN LATERAL generate_series(1, tasks) AS number
    )
    INSERT INTO tasks.task (id, workspace_id, project_id, number, title, description, status, priority, due_kind,
        due_date, assigned_to, assignees, completed_at, completed_by, created_by, version, created_at, updated_at)
    SELECT uuidv7(made - statement_timestamp()), workspace_id, id, number, array_to_string(words[1:6], ' '),
        array_to_string(words[7:], ' '), status, priority, CASE WHEN is_due THEN 'date' END,
        CASE WHEN is_due THEN made::date + 14 END, CASE WHEN is_assigned THEN somebody END,
        CASE WHEN is_assigned THEN ARRAY[somebody] ELSE '{}'::uuid[] END, CASE WHEN status = 'done' THEN made END,
        CASE WHEN status = 'done' THEN somebody END, somebody, 1, made, made
    FROM drawn
"""
ASSIGNEES = """
    INSERT INTO tasks.assignee (workspace_id, task_id, user_id, state, assigned_by, assigned_at)
    SELECT workspace_id, id, assigned_to, CASE WHEN status = 'done' THEN 'done' ELSE 'pending' END, created_by,
        created_at
    FROM tasks.task WHERE assigned_to IS NOT NULL
"""
WATCHERS = """
    INSERT INTO tasks.watcher (workspace_id, task_id, user_id, reason, is_watching, is_muted, created_at)
    SELECT workspace_id, id, created_by, 'created', true, false, created_at FROM tasks.task
"""
MEMBERS = """
    SELECT member.user_id, member.workspace_id, workspace.personal_owner_id IS NOT NULL AS is_personal
    FROM tasks.member JOIN tasks.workspace ON workspace.id = member.workspace_id
"""
