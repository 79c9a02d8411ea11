"""What tests of shared work begin with."""

import asyncio
import json
from uuid import UUID

import pytest
from chassis.context import RequestContext, bind_request
from chassis.cursors import CursorSigner
from chassis.db.row_security import bind
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.db import ROW_SECURITY
from tasks_service.jobs.schemas import ItemResult, JobKind, Progress
from tasks_service.jobs.service import keep_results, next_items, start_job
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import create_task
from testkit.waiting import eventually

PROJECTS = "/api/v1/projects"


@pytest.fixture
def make_team(api, rows, test_gateway):
    """A shared workspace with an owner, two members and a guest."""

    class Team:
        def __init__(self):
            self.id = str(uuid7())
            self.users = {name: uuid7() for name in ("owner", "ann", "bob", "guest", "stranger")}

        def headers(self, name):
            return test_gateway.headers(self.users[name])

        async def project(self, by="owner", **fields):
            body = {"name": "P", "workspace_id": self.id, **fields}
            answer = await api.post(PROJECTS, json=body, headers=self.headers(by))
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        async def task(self, project, by="owner", **fields):
            body = {"title": "t", "project_id": project["id"], **fields}
            answer = await api.post("/api/v1/tasks", json=body, headers=self.headers(by))
            assert answer.status_code == 201, answer.text
            return answer.json()["data"]

        async def patch(self, project, by="owner", **fields):
            return await api.patch(f"{PROJECTS}/{project['id']}", json=fields, headers=self.headers(by))

        async def get(self, project, by="owner"):
            return await api.get(f"{PROJECTS}/{project['id']}", headers=self.headers(by))

    async def make():
        made = Team()
        await rows(
            "INSERT INTO tasks.workspace (id, name, created_by, version, created_at, updated_at)"
            " VALUES (:id, 'W', :owner, 1, now(), now())",
            id=made.id,
            owner=made.users["owner"],
        )
        await rows("INSERT INTO tasks.change_counter VALUES (:id, 0)", id=made.id)
        for name, role in (("owner", "owner"), ("ann", "member"), ("bob", "member"), ("guest", "guest")):
            await rows(
                "INSERT INTO tasks.member VALUES (uuidv7(), :id, :user, :role, 1, 1, now())",
                id=made.id,
                user=made.users[name],
                role=role,
            )
        return made

    return make


TABLES = ("member", "project_member", "task_share", "watcher", "star", "personal_label", "assignee")


@pytest.fixture
def place(rows):
    """Makes a workspace with members of the roles given, by name, and a project; the first owner made it."""

    async def make(**roles):
        users = {name: uuid7() for name in roles}
        made = {"workspace": uuid7(), "project": uuid7(), "owner": next(iter(users.values()))}
        await rows("INSERT INTO tasks.workspace VALUES (:workspace, 'W', NULL, :owner, 1, now(), now())", **made)
        await rows("INSERT INTO tasks.change_counter VALUES (:workspace, 0)", workspace=made["workspace"])
        for name, role in roles.items():
            await rows(
                "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, clock_timestamp())",
                workspace=made["workspace"],
                user=users[name],
                role=role,
            )
        await rows(
            "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)"
            " VALUES (:project, :workspace, 'P', false, :owner, 1, now(), now())",
            **made,
        )
        return {**made, **users}

    return make


@pytest.fixture
def task_of(api, test_gateway, rows):
    """Makes a task of a place that is assigned to some."""

    async def make(place, *assignees):
        body = {"title": "a", "project_id": str(place["project"])}
        made = await api.post("/api/v1/tasks", json=body, headers=test_gateway.headers(place["owner"]))
        task = UUID(made.json()["data"]["id"])
        await rows(
            "UPDATE tasks.task SET assignees = :users, assigned_to = :first WHERE id = :id",
            users=list(assignees),
            first=next(iter(assignees), None),
            id=task,
        )
        for user in assignees:
            await rows(
                "INSERT INTO tasks.assignee VALUES (:workspace, :task, :user, 'pending', :user, now())",
                workspace=place["workspace"],
                task=task,
                user=user,
            )
        return task

    return make


@pytest.fixture
def mark(rows):
    """Puts everything on a task that one of its readers can have there."""

    async def mark(place, task, user):
        here = {"workspace": place["workspace"], "task": task, "user": user}
        label = uuid7()
        for statement in (
            "INSERT INTO tasks.watcher VALUES (:workspace, :task, :user, 'manual', true, false, now())",
            "INSERT INTO tasks.star VALUES (:workspace, :user, :task, now())",
            "INSERT INTO tasks.task_share VALUES (uuidv7(), :workspace, :task, :user, 'viewer', :user, 1, now())",
        ):
            await rows(statement, **here)
        await rows(
            "INSERT INTO tasks.label VALUES (:label, :workspace, :user, 'l', :key, NULL, :user, 1, now(), now())",
            label=label,
            key=str(label),
            workspace=place["workspace"],
            user=user,
        )
        await rows("INSERT INTO tasks.personal_label VALUES (:workspace, :user, :task, :label)", label=label, **here)
        await rows(
            "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'editor', 1, now())",
            workspace=place["workspace"],
            project=place["project"],
            user=user,
        )

    return mark


@pytest.fixture
def held(rows):
    """Counts what somebody has in a workspace, by table."""

    async def held(place, user):
        count = "SELECT count(*) FROM tasks.{} WHERE workspace_id = :workspace AND user_id = :user"
        found = [await rows(count.format(one), workspace=place["workspace"], user=user) for one in TABLES]
        return {table: many for table, ((many,),) in zip(TABLES, found, strict=True)}

    return held


COUNTERS = """
    SELECT task.id FROM tasks.task
    LEFT JOIN LATERAL (
        SELECT count(*) AS total, count(*) FILTER (WHERE status_category = 'done') AS done FROM tasks.task AS child
        WHERE child.parent_id = task.id AND child.deleted_at IS NULL AND child.status_category <> 'cancelled'
    ) AS counted ON true
    WHERE task.project_id = :id AND task.deleted_at IS NULL
        AND (task.subtasks_total, task.subtasks_done) IS DISTINCT FROM (counted.total, counted.done)
"""
COMPLETION = """
    SELECT id FROM tasks.task
    WHERE project_id = :id AND (status_category = 'done') IS DISTINCT FROM (completed_at IS NOT NULL)
"""
ASSIGNEES = """
    SELECT task.id FROM tasks.task LEFT JOIN LATERAL (
        SELECT coalesce(array_agg(user_id ORDER BY user_id), '{}') AS users FROM tasks.assignee WHERE task_id = task.id
    ) AS had ON true
    WHERE task.project_id = :id AND had.users IS DISTINCT FROM
        (SELECT coalesce(array_agg(one ORDER BY one), '{}') FROM unnest(task.assignees) AS one)
"""
VERSIONS = """
    SELECT task.id FROM tasks.task JOIN LATERAL (
        SELECT array_agg(version ORDER BY seq) AS told FROM tasks.change
        WHERE entity_id = task.id AND entity_type = 'task'
    ) AS log ON true
    WHERE task.project_id = :id
        AND log.told IS DISTINCT FROM (SELECT array_agg(n) FROM generate_series(1, task.version) AS n)
"""
LOG = """
    SELECT entity_id, changes, resource FROM tasks.change
    WHERE project_id = :id AND entity_type = 'task' ORDER BY seq
"""
UNTOLD = {"version", "updated_at"}
INVARIANTS = {
    "counters": COUNTERS,
    "completion": COMPLETION,
    "assignees": ASSIGNEES,
    "versions": VERSIONS,
}


@pytest.fixture
def broken(rows):
    """Tells which invariants of a project's tasks do not hold, and of how many tasks."""

    async def broken(project_id):
        found = {name: len(await rows(query, id=project_id)) for name, query in INVARIANTS.items()}
        found["log"] = len(misfits(await rows(LOG, id=project_id)))
        return {name: number for name, number in found.items() if number}

    return broken


def misfits(log):
    """Return changes that are not what the resource before and the one after differ in."""
    last, found = {}, []
    for task, changes, resource in log:
        told = {change["field"]: (change["old"], change["new"]) for change in changes}
        before = last.get(task)
        if before is not None:
            differs = {name: (before.get(name), value) for name, value in resource.items() if before.get(name) != value}
            if {name: pair for name, pair in differs.items() if name not in UNTOLD} != told:
                found.append((task, differs, told))
        last[task] = resource
    return found


@pytest.fixture
def waiting(rows):
    """Tells whether so many requests wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def are_waiting(number=1):
        async def look():
            return (await rows(query))[0][0] >= number

        await eventually(look)

    return are_waiting


class Files:
    """Exports and imports of a team, with the worker that does them."""

    @staticmethod
    def line(kind, **fields):
        """Return a line of a file."""
        return json.dumps({"kind": kind, **fields}) + "\n"

    def __init__(self, team, work):
        self.team, self.work = team, work

    async def done(self, job, who="owner", *, contended=False):
        """Have a job done, and return it as its maker sees it; one that is `contended` may wait too long for others."""

        async def ended():
            # What else has to be tried again is a mistake of ours.
            attempts = await self.team.rows("SELECT attempts FROM tasks.job WHERE id = :id", id=job["id"])
            assert contended or attempts == [(0,)]
            found = await self.team.ok(who, "GET", f"/jobs/{job['id']}")
            return found if found["finished_at"] else None

        async with self.work.working():
            return await eventually(ended, seconds=90)

    async def export(self, workspace_id=None, who="owner", **wanted):
        """Export a workspace; return the export, and its bytes as its link gives them."""
        body = {"workspace_id": str(workspace_id or self.team.workspace_id), **wanted}
        job = await self.done(await self.team.ok(who, "POST", "/exports", body), who)
        assert job["status"] == "succeeded", job
        export = await self.team.ok(who, "GET", job["result_url"].removeprefix("/api/v1"))
        answer = await self.team.api.get(export["url"])
        assert answer.status_code == 200, answer.text
        return export, answer.content

    async def send(self, content, workspace_id=None, who="owner", file_format="ndjson", **query):
        """Send a file to be imported."""
        types = {"ndjson": "application/x-ndjson", "csv": "text/csv"}
        headers = {**self.team.gateway.headers(self.team.ids[who]), "content-type": types[file_format]}
        headers |= query.pop("headers", {})
        params = {"workspace_id": str(workspace_id or self.team.workspace_id), "format": file_format, **query}
        return await self.team.api.post("/api/v1/imports", params=params, content=content, headers=headers)

    async def take(self, content, workspace_id=None, who="owner", **more):
        """Import a file; return the job, and what is told of its lines."""
        answer = await self.send(content, workspace_id, who, **more)
        assert answer.status_code == 202, answer.text
        job = await self.done(answer.json()["data"], who)
        results = await self.team.ok(who, "GET", f"/jobs/{job['id']}/results?per_page=100")
        return job, results

    @staticmethod
    def told(results):
        """Return what is told of lines: where, of what kind, and with what error, if any."""
        return [(one["line"], one["kind"], one["error"] and one["error"]["code"]) for one in results]

    @staticmethod
    def warned(results):
        """Return what lines are warned of."""
        return [(one["line"], [each["code"] for each in one["warnings"] or ()]) for one in results if one["warnings"]]

    async def workspace(self, who="owner", members=()):
        """Make an empty workspace, with members by their roles; return its id."""
        made = await self.team.ok(who, "POST", "/workspaces", {"name": "Empty"})
        for name, role in members:
            statement = "INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, :role, 1, 1, now())"
            await self.team.rows(statement, w=made["id"], u=self.team.ids[name], role=role)
        return made["id"]


@pytest.fixture
async def files(roster, job_work):
    """What exports and imports of the team are made with."""
    return Files(roster, job_work)


@pytest.fixture
def signer(settings):
    """Signs cursors as the service does."""
    return CursorSigner(settings.cursors.secret.get_secret_value())


@pytest.fixture
def feed(roster):
    """Reads the feed of a member of the team to its end, or a page of it."""

    class Feed:
        async def page(self, who, cursor=None, **query):
            params = {name: str(value) for name, value in query.items()}
            if cursor is not None:
                params["cursor"] = cursor
            headers = roster.gateway.headers(roster.ids[who])
            answer = await roster.api.get("/api/v1/changes", params=params, headers=headers)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert {name: body["data"][name] for name in ("next_cursor", "has_more")} == {
                name: body["meta"][name] for name in ("next_cursor", "has_more")
            }
            return body["data"]

        async def start(self, who):
            found = await self.page(who)
            assert (found["changes"], found["has_more"]) == ([], False)
            return found["next_cursor"]

        async def all(self, who, cursor, **query):
            found, more = [], True
            while more:
                page = await self.page(who, cursor, **query)
                found += page["changes"]
                cursor, more = page["next_cursor"], page["has_more"]
            return found

        @staticmethod
        def told(entries):
            """Return what entries are about, and why it is gone, if it is."""
            return [(one["type"], one["subject"], one.get("removed", {}).get("reason")) for one in entries]

    return Feed()


async def create_some(session, job):
    """A step that makes two tasks, by what the operations say."""
    done, failed = job.done, job.failed
    items = await next_items(session, job, 2)
    results = []
    for one in items:
        if one.operation["title"] == "no":
            results.append(ItemResult(one.index, succeeded=False, told={"status": 422, "error": REFUSAL}))
            failed += 1
        else:
            row = await create_task(session, wanted=TaskCreate.model_validate(dict(one.operation)), actor=job.actor)
            told = {"status": 201, "id": str(row["id"]), "version": row["version"], "op": "create"}
            results.append(ItemResult(one.index, succeeded=True, told=told))
        done += 1
    await keep_results(session, job, results)
    return Progress(done, failed, is_finished=done == job.total)


REFUSAL = {"code": "VALIDATION_FAILED", "message": "No.", "field": "title"}
CREATING = {"bulk": JobKind(create_some)}


class Gate:
    """A kind whose steps wait to be let through, before they do anything or after all of it."""

    def __init__(self):
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def passed(self):
        self.reached.set()
        await self.open.wait()

    def before(self, **more):
        async def step(session, job):
            await self.passed()
            return await create_some(session, job)

        return {"bulk": JobKind(step, **more)}

    def after(self):
        async def step(session, job):
            progress = await create_some(session, job)
            await self.passed()
            return progress

        return {"bulk": JobKind(step)}


class Workshop:
    """Starts jobs of members of a team, and the workers that do them."""

    create_some, refusal, gate = staticmethod(create_some), REFUSAL, Gate

    def __init__(self, team, database, work):
        self.team, self.database, self.work = team, database, work

    async def start(self, who="owner", titles=("a", "b", "c"), **more):
        """Start a job that makes tasks; return its id as it is in JSON."""
        caller = more.pop("caller", None) or Principal(user_id=self.team.ids[who], session_id=uuid7())
        place = str(self.team.project_id)
        given = {
            "kind": "bulk",
            "workspace_id": self.team.workspace_id,
            "parameters": {},
            "operations": [{"title": title, "project_id": place} for title in titles],
            **more,
        }
        bind_request(RequestContext("request-of-the-job", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"))
        async with transaction(self.database) as session:
            await bind(session, ROW_SECURITY.of(caller.user_id))
            row = await start_job(session, actor=caller, **given)
        return str(row["id"])

    def working(self, kinds=None, *, slots=2, **terms):
        """Have a worker for the block."""
        return self.work.working(kinds or CREATING, slots=slots, **terms)

    async def ended(self, job_id, who="owner"):
        """Wait for the end of a job, and return it."""
        return await self.work.ended(self.team, job_id, who)

    async def done(self, job_id, kinds=None, **more):
        """Have a job done, and return it."""
        async with self.working(kinds, **more):
            return await self.ended(job_id)

    async def results(self, job_id, query="", who="owner"):
        return await self.team.ok(who, "GET", f"/jobs/{job_id}/results{query}")

    async def titles(self):
        rows = await self.team.rows(
            "SELECT title FROM tasks.task WHERE project_id = :p ORDER BY title", p=self.team.project_id
        )
        return [title for (title,) in rows]


@pytest.fixture
async def workshop(roster, database, job_work):
    return Workshop(roster, database, job_work)
