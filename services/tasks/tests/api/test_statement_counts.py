"""Every list is read in as many statements for 100 rows as for one, with whatever is included.

Which lists there are comes from the OpenAPI document, so that a new one fails until it has an entry: a function named
like the operation that makes one row through the API, and returns the path with the statements that multiply it.
"""

from contextlib import ExitStack

import pytest
from chassis.ids import uuid7
from tasks_service.main import openapi_document
from testkit.statements import statements_seen

ONE_ID = {"id": "uuidv7()"}
ANYBODY = {"user_id": "uuidv7()"}
A_JOB = """
    WITH made AS (
        INSERT INTO tasks.job VALUES (:id, 'bulk', :workspace, :user, true, NULL, '{}', 'request-of-a-job', '-', '{}',
            '{}', 'queued', 1, 0, 0, NULL, NULL, NULL, now() + interval '1 day', 0, 0, 0, now(), 1, now())
    )
    INSERT INTO tasks.job_item VALUES (:id, 0, :workspace, :user, '{"op": "delete"}', 'pending')
"""


def copied(table, where, *, of="generate_series(2, 100) AS n", **changed):
    """Return a statement that copies a row, with other values in the columns that are named."""
    changes = ", ".join(f"'{name}', {value}" for name, value in changed.items())
    return (
        f"INSERT INTO tasks.{table} SELECT (jsonb_populate_record(NULL::tasks.{table},"  # noqa: S608 - the table is our own
        f" to_jsonb(one) || jsonb_build_object({changes}))).* FROM tasks.{table} AS one, {of} WHERE {where}"
    )


def tasks_copied(**changed):
    return copied("task", "one.id = :t", **ONE_ID, number="NULL", position="NULL", external_id="NULL", **changed)


def on_all(table, **changed):
    """Return a statement that copies what hangs on the task to all others of the project."""
    where = "one.task_id = :t AND other.project_id = :p AND other.id <> :t"
    return copied(table, where, of="tasks.task AS other", task_id="other.id", **changed)


async def list_tasks(team, task):
    path = f"/tasks/{task['id']}"
    label = await team.ok("owner", "POST", "/labels", {"workspace_id": str(team.workspace_id), "name": "l"})
    await team.ok("owner", "PUT", f"{path}/labels/{label['id']}")
    await team.ok("owner", "PUT", f"{path}/star")
    await team.ok("owner", "POST", f"{path}/comments", {"body": "c"})
    await team.ok("owner", "POST", f"{path}/checklist", {"text": "i"})
    await team.ok("owner", "PUT", f"{path}/assignees", {"user_ids": team.several("owner", "member")})
    return f"/tasks?project_id={team.project_id}", [
        tasks_copied(),
        on_all("star"),
        on_all("assignee"),
        on_all("comment", **ONE_ID),
        on_all("checklist_item", **ONE_ID),
    ]


async def aggregate_tasks(team, task):
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/assignees", {"user_ids": team.several("owner", "member")})
    query = f"group_by=created_by,assignee&project_id={team.project_id}"
    return f"/tasks/aggregate?{query}", [tasks_copied(created_by="uuidv7()")]


async def a_job(team):
    names = ("id", "workspace", "user")
    values = dict(zip(names, (uuid7(), team.workspace_id, team.ids["owner"]), strict=True))
    await team.rows(A_JOB, **values)
    return values["id"]


async def list_jobs(team, _task):
    await a_job(team)
    return "/jobs", [copied("job", "one.created_by = :owner", **ONE_ID)]


async def list_job_results(team, _task):
    job_id = await a_job(team)
    return f"/jobs/{job_id}/results", [copied("job_item", "one.workspace_id = :w", index="n")]


async def list_starred(team, task):
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/star")
    return "/starred", [tasks_copied(), on_all("star")]


async def list_shared_with_me(team, task):
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{team.id('owner')}", {"role": "viewer"})
    return "/shared-with-me", [tasks_copied(), on_all("task_share", **ONE_ID)]


async def list_trash(team, task):
    await team.ok("owner", "DELETE", f"/tasks/{task['id']}")
    return f"/trash?workspace_id={team.workspace_id}", [tasks_copied()]


async def list_workspaces(team, task):
    of_all = "SELECT {} FROM tasks.workspace WHERE created_by = :owner AND id <> :w"
    return "/workspaces", [
        copied("workspace", "one.id = :w", **ONE_ID),
        f"INSERT INTO tasks.change_counter {of_all.format('id, 0')}",
        f"INSERT INTO tasks.member {of_all.format('uuidv7(), id, created_by, {}, 1, 1, now()')}".format("'owner'"),
    ]


async def list_projects(team, task):
    named = {"name": "'P' || n", "prefix": "'P' || n"}
    return "/projects", [copied("project", "one.id = :p", **ONE_ID, **named)]


async def list_project_members(team, task):
    joined = copied("member", "one.user_id = :viewer", **ONE_ID, **ANYBODY)
    of = "tasks.member AS other"
    where = (
        "one.user_id = :viewer AND one.project_id = :p AND other.workspace_id = :w AND other.user_id <> ALL (:known)"
    )
    return f"/projects/{team.project_id}/members", [
        joined,
        copied("project_member", where, of=of, **ONE_ID, user_id="other.user_id"),
    ]


async def list_statuses(team, task):
    keys = {"key": "'k' || n", "name": "'K' || n", "position": "'b' || lpad(n::text, 3, '0') || 'V'"}
    return f"/projects/{team.project_id}/statuses", [
        copied("status", "one.project_id = :p AND one.key = 'todo'", **ONE_ID, **keys)
    ]


async def list_members(team, task):
    return f"/workspaces/{team.workspace_id}/members", [copied("member", "one.user_id = :viewer", **ONE_ID, **ANYBODY)]


async def list_directory(team, task):
    people = (
        "INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)"
        " SELECT user_id, 'A', false, 'human', 'active', 1 FROM tasks.member WHERE workspace_id = :w"
    )
    return f"/workspaces/{team.workspace_id}/directory", [
        copied("member", "one.user_id = :viewer", **ONE_ID, **ANYBODY),
        people,
    ]


async def list_invitations(team, task):
    path = f"/workspaces/{team.workspace_id}/invitations"
    await team.ok("owner", "POST", path, {"email": f"{uuid7().hex}@example.com", "role": "member"})
    address = dict.fromkeys(("email", "email_canonical"), "uuidv7() || '@example.com'")
    hashed = {"token_hash": "sha256(uuidv7()::text::bytea)"}
    return path, [copied("invitation", "one.workspace_id = :w", **ONE_ID, **address, **hashed)]


async def read_workspace_audit(team, task):
    changes = copied("change", "one.workspace_id = :w AND one.seq = 1", seq="1000 + n", event_id="uuidv7()")
    return f"/workspaces/{team.workspace_id}/audit", [changes]


async def list_task_history(team, task):
    other = await team.task(title="b")
    await team.ok("owner", "POST", f"/tasks/{other['id']}/relations", {"type": "blocks", "task_id": task["id"]})
    of_relations = "one.workspace_id = :w AND one.related_task_id = :t"
    return f"/tasks/{task['id']}/history", [
        copied("change", "one.workspace_id = :w AND one.seq = 1", seq="1000 + n", event_id="uuidv7()"),
        copied("change", of_relations, seq="2000 + n", event_id="uuidv7()"),
    ]


async def list_categories(team, task):
    await team.ok("owner", "POST", "/categories", {"workspace_id": str(team.workspace_id), "name": "c"})
    named = {"name": "'c' || n", "name_key": "'c' || n"}
    return f"/categories?workspace_id={team.workspace_id}", [
        copied("category", "one.workspace_id = :w", **ONE_ID, **named)
    ]


async def list_labels(team, task):
    await team.ok("owner", "POST", "/labels", {"workspace_id": str(team.workspace_id), "name": "l"})
    named = {"name": "'l' || n", "name_key": "'l' || n"}
    return f"/labels?workspace_id={team.workspace_id}", [copied("label", "one.workspace_id = :w", **ONE_ID, **named)]


async def list_filters(team, task):
    await team.ok("owner", "POST", "/filters", {"workspace_id": str(team.workspace_id), "name": "f"})
    named = {"name": "'f' || n", "name_key": "'f' || n"}
    return f"/filters?workspace_id={team.workspace_id}", [
        copied("saved_filter", "one.workspace_id = :w", **ONE_ID, **named)
    ]


async def list_assignees(team, task):
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/assignees", {"user_ids": [team.id("owner")]})
    return f"/tasks/{task['id']}/assignees", [
        copied("assignee", "one.task_id = :t", of="generate_series(2, 20) AS n", **ANYBODY),
        "UPDATE tasks.task SET assignees = ARRAY(SELECT user_id FROM tasks.assignee WHERE task_id = :t) WHERE id = :t",
    ]


list_assignees.most = 20


async def list_watchers(team, task):
    where = "one.task_id = :t AND other.workspace_id = :w AND other.user_id <> ALL (:known)"
    return f"/tasks/{task['id']}/watchers", [
        copied("member", "one.user_id = :member", **ONE_ID, **ANYBODY),
        copied("watcher", where, of="tasks.member AS other", user_id="other.user_id"),
    ]


async def list_shares(team, task):
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{team.id('guest')}", {"role": "viewer"})
    return f"/tasks/{task['id']}/shares", [copied("task_share", "one.task_id = :t", **ONE_ID, **ANYBODY)]


async def list_checklist(team, task):
    await team.ok("owner", "POST", f"/tasks/{task['id']}/checklist", {"text": "i"})
    place = {"position": "'b' || lpad(n::text, 3, '0') || 'V'"}
    return f"/tasks/{task['id']}/checklist", [copied("checklist_item", "one.task_id = :t", **ONE_ID, **place)]


async def list_comments(team, task):
    path = f"/tasks/{task['id']}/comments"
    made = await team.ok("owner", "POST", path, {"body": "c"})
    await team.ok("owner", "PUT", f"{path}/{made['id']}/reactions/%F0%9F%91%8D")
    of = "tasks.comment AS other"
    where = "other.workspace_id = :w AND one.workspace_id = :w AND other.id <> one.comment_id"
    return path, [
        copied("comment", "one.task_id = :t", **ONE_ID),
        copied("reaction", where, of=of, comment_id="other.id"),
    ]


async def list_comment_versions(team, task):
    path = f"/tasks/{task['id']}/comments"
    made = await team.ok("owner", "POST", path, {"body": "c"})
    await team.ok("owner", "PATCH", f"{path}/{made['id']}", {"body": "d"})
    return f"{path}/{made['id']}/versions", [copied("comment_version", "one.workspace_id = :w", version="n + 10")]


async def list_relations(team, task):
    other = await team.task(title="b")
    await team.ok("owner", "POST", f"/tasks/{task['id']}/relations", {"type": "blocks", "task_id": other["id"]})
    of = "tasks.task AS other"
    where = "one.workspace_id = :w AND other.project_id = :p AND other.id NOT IN (one.from_task_id, one.to_task_id)"
    return f"/tasks/{task['id']}/relations", [
        tasks_copied(),
        copied("relation", where, of=of, **ONE_ID, to_task_id="other.id"),
    ]


async def list_task_metadata(team, task):
    path = f"/tasks/{task['id']}/metadata"
    await team.ok("owner", "PUT", f"{path}/crm?shared=true", {"a": 1})
    named = {"of": "generate_series(2, 20) AS n", "namespace": "'c' || n"}
    return path, [
        copied("metadata_namespace", "one.workspace_id = :w", **named),
        copied("task_metadata", "one.task_id = :t", **named),
    ]


list_task_metadata.most = 20
ENTRIES = {
    entry.__name__: entry
    for entry in (
        list_tasks,
        aggregate_tasks,
        list_jobs,
        list_job_results,
        list_starred,
        list_shared_with_me,
        list_trash,
        list_workspaces,
        list_projects,
        list_project_members,
        list_statuses,
        list_members,
        list_directory,
        list_invitations,
        read_workspace_audit,
        list_task_history,
        list_categories,
        list_labels,
        list_filters,
        list_assignees,
        list_watchers,
        list_shares,
        list_checklist,
        list_comments,
        list_comment_versions,
        list_relations,
        list_task_metadata,
    )
}
WITHOUT_ROWS = {"list_permissions": "data of the code, which no statement reads"}


def listing():
    """Return the operations whose answer is a list, each with the names of what it can include."""
    document = openapi_document()
    found = {}
    for item in document["paths"].values():
        operation = item.get("get")
        content = operation["responses"].get("200", {}).get("content", {}) if operation else {}
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        data = document["components"]["schemas"].get(name, {}).get("properties", {}).get("data", {})
        if data.get("type") == "array":
            includes = [one["schema"] for one in operation.get("parameters", ()) if one["name"] == "include"]
            found[operation["operationId"]] = names_in(includes[0]) if includes else []
    return found


def names_in(schema):
    """Return the values of an enumeration, wherever it is in a schema."""
    if isinstance(schema, dict):
        if "const" in schema:
            return [schema["const"]]
        return schema["enum"] if "enum" in schema else [name for one in schema.values() for name in names_in(one)]
    return [name for one in schema for name in names_in(one)] if isinstance(schema, list) else []


LISTING = listing()


def test_every_list_has_an_entry():
    assert LISTING.keys() == ENTRIES.keys() | WITHOUT_ROWS.keys()
    assert {name for name, includes in LISTING.items() if includes} >= {"list_tasks", "list_comments"}


@pytest.fixture
def counted(roster, database):
    """Reads a list by the owner; returns how many rows it has, and how many statements it took."""

    async def read(path, **query):
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        with ExitStack() as stack:
            engines = {id(one.sync_engine): one for one in (database.reader, database.writer)}
            seen = [stack.enter_context(statements_seen(one)) for one in engines.values()]
            found = await roster.ok("owner", "GET", f"{path}{'&' if '?' in path else '?'}{asked}")
        return len(found), sum(len(one) for one in seen)

    return read


@pytest.mark.parametrize("operation", sorted(ENTRIES))
async def test_a_hundred_rows_need_as_many_statements_as_one(roster, counted, operation):
    task = await roster.task()
    path, statements = await ENTRIES[operation](roster, task)
    includes = LISTING[operation]
    asked = [{}, *({"include": name} for name in includes), *([{"include": ",".join(includes)}] if includes else [])]
    pages = {} if "per_page" not in parameters_of(operation) else {"per_page": 100}
    # What is read for the first time of all may fill a cache.
    await counted(path, **pages)
    few = [await counted(path, **pages, **one) for one in asked]
    names = {"w": roster.workspace_id, "p": roster.project_id, "t": task["id"]}
    names |= {who: roster.ids[who] for who in ("owner", "member", "viewer")}
    names |= {"known": [*roster.ids.values()]}
    for statement in statements:
        await roster.rows(statement, **{name: value for name, value in names.items() if f":{name}" in statement})
    # What is written by hand is not in the log, by which pages are told again.
    await roster.task()
    many = [await counted(path, **pages, **one) for one in asked]
    assert [count for _, count in many] == [count for _, count in few]
    most = getattr(ENTRIES[operation], "most", 100)
    assert all(rows >= most > few_rows for (rows, _), (few_rows, _) in zip(many, few, strict=True)), (few, many)


def parameters_of(operation):
    items = (item for path in openapi_document()["paths"].values() for item in path.values())
    found = next(item for item in items if item["operationId"] == operation)
    return {one["name"] for one in found.get("parameters", ())}
