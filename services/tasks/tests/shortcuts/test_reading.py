"""A task that is read by its id is answered before it is routed, and just as its route answers (ADR 19).

The same question with `workspace_id`, which says nothing of an id, goes to the route.
"""

import pytest
from chassis.ids import uuid7
from prometheus_client import REGISTRY
from testkit.statements import statements_seen

ID = {"x-request-id": "the-same-of-both"}
FROM_OUTSIDE = {"external_source": "crm", "external_id": "7 \u00e4"}
ROUTE = {"workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"}
DUES = ("2026-12-01", {"at": "2026-12-01T09:00:00Z", "timezone": "Europe/Berlin"}, {"local": "2026-12-01T09:00:00"})
TAGS = ('"1"', 'W/"1"', "*", '"7", "1"', '"7"', "", "1")


def told(answer):
    headers = [(name, value) for name, value in answer.headers.items() if name != "server-timing"]
    return answer.status_code, headers, answer.content


@pytest.fixture
def both(roster):
    """Asks for a task by the shortcut and by the route, and returns what both say."""

    async def ask(name, own, method="GET", **headers):
        given = {**own, **ID, **headers}
        short = await roster.api.request(method, f"/api/v1/tasks/{name}", headers=given)
        routed = await roster.api.request(method, f"/api/v1/tasks/{name}", params=ROUTE, headers=given)
        assert told(short) == told(routed), (name, method, headers)
        return short

    return ask


@pytest.fixture
async def tasks(roster, full):
    """Tasks by what is special about them."""
    task = await roster.task()
    more = {"assignees": roster.several("member", "editor"), "parent_id": task["id"]}
    made = {"plain": task, "full": await roster.task(**full, **FROM_OUTSIDE, **more)}
    for due in DUES:
        made[f"due {due}"] = await roster.task(due=due)
    made["done"] = await roster.task()
    await roster.ok("owner", "PATCH", f"/tasks/{made['done']['id']}", {"status": "done"})
    private = {"name": "Q", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    made["private"] = await roster.task(project_id=(await roster.ok("owner", "POST", "/projects", private))["id"])
    made["shared"] = await roster.task(project_id=made["private"]["project_id"])
    body = {"role": "commenter"}
    await roster.ok("owner", "PUT", f"/tasks/{made['shared']['id']}/shares/{roster.id('guest')}", body)
    made["moved"] = await roster.task()
    there = {"project_id": made["private"]["project_id"]}
    await roster.ok("owner", "POST", f"/tasks/{made['moved']['id']}/move", there)
    archived = await roster.ok("owner", "POST", "/projects", {**private, "visibility": "workspace"})
    made["archived"] = await roster.task(project_id=archived["id"])
    await roster.ok("owner", "POST", f"/projects/{archived['id']}/archive")
    for kind, query in (("trashed", ""), ("purged", "?permanent=true")):
        made[kind] = await roster.task()
        await roster.ok("owner", "DELETE", f"/tasks/{made[kind]['id']}{query}")
    return {kind: one["id"] for kind, one in made.items()} | {"nothing": str(uuid7())}


async def test_r36_the_shortcut_says_what_the_route_says_of_each_task_to_each_caller(roster, both, tasks, callers):
    [(private,)] = await roster.rows("SELECT project_id FROM tasks.task WHERE id = :id", id=tasks["private"])
    asking = callers("tasks:read", "tasks:write", private)
    seen = {
        (who, kind): (await both(task_id, own)).status_code
        for who, own in asking.items()
        for kind, task_id in tasks.items()
    }
    gone = {"trashed", "purged", "nothing"}
    everything = tasks.keys() - gone
    visible = {who: {kind for kind in tasks if seen[who, kind] == 200} for who in asking}
    for who in ("owner", "admin", "token", "token of the workspace", "token that reads only", "bot"):
        assert visible[who] == everything, who
    hidden = {"private", "shared", "moved"}
    assert visible["member"] == everything - hidden
    assert visible["viewer"] == everything - hidden - {"archived"}
    assert visible["guest"] == {"shared"}
    assert visible["token of another project"] == hidden
    assert visible["token of the project"] == everything - hidden - {"archived"} == visible["token of both"]
    for who in ("stranger", "token of another workspace", "token of no project"):
        assert {seen[who, kind] for kind in tasks} == {404}, who
    for who, status in (
        ("token without a scope", 403),
        ("token with another scope", 403),
        ("service", 401),
        ("nobody", 401),
    ):
        assert {seen[who, kind] for kind in tasks} == {status}, who
    assert {seen[who, kind] for who in ("a liar", "too late") for kind in tasks} == {401}


async def test_o5_the_shortcut_is_told_what_the_caller_has_as_the_route_is(roster, both):
    task, moved = await roster.task(), await roster.task()
    there = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    await roster.ok("owner", "POST", f"/tasks/{moved['id']}/move", {"project_id": there["id"]})
    own = roster.gateway.headers(roster.ids["owner"])
    for method in ("GET", "HEAD"):
        answers = [await both(task["id"], own, method, **{"if-none-match": tag}) for tag in TAGS]
        assert [one.status_code for one in answers] == [304, 304, 304, 304, 200, 200, 200]
        # Its key is its project's to say, so that no tag is of all that is shown.
        assert (await both(moved["id"], own, method, **{"if-none-match": "*"})).status_code == 200


@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        ("{id}", {}, 200),
        ("{upper}", {}, 200),
        ("{upper}", {"prefer": "return=minimal", "x-timezone": "nowhere", "content-length": "0"}, 200),
        ("{key}", {}, 200),
        ("{id}/", {}, 404),
        ("{cut}", {}, 404),
        ("{id}%0A", {}, 404),
        ("%7B{id}%7D", {}, 404),
        ("{hex}", {}, 404),
        ("{id}", {"x-min-cursor": "nonsense"}, 400),
        ("{id}", {"x-min-cursor": ""}, 400),
        ("{id}", {"x-request-id": "no"}, 200),
    ],
    ids=str,
)
async def test_r31_what_is_asked_for_in_another_form_goes_to_the_route(roster, form, headers, status):
    task = await roster.task()
    names = {
        "id": task["id"],
        "upper": task["id"].upper(),
        "hex": task["id"].replace("-", ""),
        "cut": task["id"][1:],
        "key": task["key"],
    }
    # Over all workspaces of the caller a key is enough here.
    answer = await roster.ask("owner", "GET", f"/tasks/{form.format_map(names)}", **headers)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["data"] == task


async def test_r31_an_unknown_parameter_is_told_by_the_route(roster):
    task = await roster.task()
    for query, status in (("x=1", 422), ("fields=nothing", 422), ("fields=title", 200), ("include=permissions", 200)):
        assert (await roster.ask("owner", "GET", f"/tasks/{task['id']}?{query}")).status_code == status


async def test_r36_the_shortcut_has_one_statement_and_what_is_gone_another(roster, database):
    task = await roster.task()
    for name, statements in ((task["id"], 0), (f"{task['id']}?fields=title", 1), (uuid7(), 1)):
        with statements_seen(database.reader) as seen:
            await roster.ask("owner", "GET", f"/tasks/{name}")
        # The one of a shortcut goes past what is looked at here.
        assert len(seen) == statements, name


async def test_r65_the_shortcut_is_logged_and_counted_as_its_route(roster, both):
    task = await roster.task()
    own = roster.gateway.headers(roster.ids["owner"])
    counted = []
    for _ in range(2):
        text = REGISTRY.get_sample_value(
            "taskloom_http_requests_total", {"method": "GET", "route": "/api/v1/tasks/{task_id}", "status": "200"}
        )
        counted.append(text or 0)
        await both(task["id"], own)
    assert counted[1] - counted[0] == 2


NOT_PLAIN = "archived=false"
"""Says what is so without it, and is none of the parameters of the shortcut for lists."""
LISTS = [
    "",
    "status=todo",
    "status=todo&per_page=2",
    "status=todo,done&per_page=2&page=2",
    "status=todo&status=done&sort=-priority,due",
    "sort=title&sort=-created_at&per_page=100",
    "assigned_to=none",
    "assignee=me,none",
    "priority=high,urgent&due_after=2026-01-01&due_before=today()%2B30d",
    "title=A%20%C3%BC%20%F0%9F%A5%9B%20%22quoted%22%20%5C%20and%20%3C/script%3E",
    "created_at_after=2026-01-01T00:00:00Z",
    "page=7",
    "status=",
    "status=nothing",
    "status=todo&status=nothing",
    "due_before=someday",
    "sort=nothing",
    "sort=rank",
    "sort=",
    "sort=title,title",
    "sort=title,due,priority,created_at,updated_at",
    "page=0",
    "page=-1",
    "page=1_0",
    "page=%2B1",
    "page=%201",
    "page=01",
    "page=%D9%A1",
    "page=1&page=1",
    "page=501&per_page=20",
    "page=500&per_page=20",
    "per_page=101",
    "per_page=100",
    "per_page=",
    "per_page=99999999999999999999",
    "status=a%00b",
    "status=" + ",".join("todo" for _ in range(500)),
    "project_id={project}",
    "project_id={other}&status=todo",
    "workspace_id={workspace}&sort=updated_at",
    "labels={project}",
]


@pytest.fixture
def both_lists(roster):
    """Asks for a list by the shortcut and by the route, and returns what both say."""

    async def ask(query, own, method="GET", **headers):
        given = {**own, **ID, **headers}
        long = f"{query}&{NOT_PLAIN}" if query else NOT_PLAIN
        short, routed = [
            await roster.api.request(method, f"/api/v1/tasks?{one}", headers=given) for one in (query, long)
        ]
        assert told(short) == without_what_is_not_plain(told(routed)), (query, method, headers)
        return short

    return ask


def without_what_is_not_plain(answer):
    status, headers, content = answer
    return status, [(name, value.replace(f"{NOT_PLAIN}&", "")) for name, value in headers], content


async def test_r36_a_list_by_the_shortcut_is_the_list_of_the_route(roster, both_lists, tasks, callers):
    [(private,)] = await roster.rows("SELECT project_id FROM tasks.task WHERE id = :id", id=tasks["private"])
    names = {"project": roster.project_id, "other": private, "workspace": roster.workspace_id}
    asking = callers("tasks:read", "tasks:write", private)
    for query in LISTS:
        for who in ("owner", "guest", "token of the project"):
            answer = await both_lists(query.format_map(names), asking[who])
            assert answer.status_code < 500, (query, who)


async def test_r36_the_shortcut_of_lists_shows_each_caller_what_is_theirs(roster, both_lists, tasks, callers):
    [(private,)] = await roster.rows("SELECT project_id FROM tasks.task WHERE id = :id", id=tasks["private"])
    seen = {}
    for who, own in callers("tasks:read", "tasks:write", private).items():
        answer = await both_lists("per_page=100&sort=created_at", own)
        seen[who] = {one["id"] for one in answer.json()["data"]} if answer.status_code == 200 else answer.status_code
    listed = {tasks[kind] for kind in tasks.keys() - {"trashed", "purged", "nothing", "archived"}}
    hidden = {tasks[kind] for kind in ("private", "shared", "moved")}
    assert seen["owner"] & set(tasks.values()) == listed
    assert seen["member"] & set(tasks.values()) == listed - hidden
    assert seen["guest"] & set(tasks.values()) == {tasks["shared"]}
    assert seen["token of another project"] == hidden
    assert seen["token of no project"] == set()
    assert [seen[who] for who in ("token without a scope", "service", "nobody", "a liar")] == [403, 401, 401, 401]


async def test_o5_a_list_by_the_shortcut_is_not_told_again_unchanged(roster, both_lists):
    await roster.task()
    own = roster.gateway.headers(roster.ids["owner"])
    tag = (await both_lists("status=todo", own)).headers["etag"]
    assert (await both_lists("status=todo", own, **{"if-none-match": tag})).status_code == 304
    await roster.task()
    assert (await both_lists("status=todo", own, **{"if-none-match": tag})).status_code == 200


async def test_r36_a_plain_list_is_answered_by_the_shortcut_and_others_by_the_route(roster, database):
    await roster.task()
    cursor = (await roster.ask("owner", "GET", "/tasks?cursor=&per_page=1")).json()["meta"]["next_cursor"]
    for query, headers, is_short in (
        ("", {}, True),
        ("status=todo&sort=-due&page=1&per_page=5", {}, True),
        ("q=milk", {}, False),
        (f"cursor={cursor or ''}", {}, False),
        ("fields=title", {}, False),
        ("status=todo", {"x-timezone": "Europe/Berlin"}, False),
    ):
        with statements_seen(database.reader) as seen:
            await roster.ok("owner", "GET", f"/tasks?{query}", **headers)
        assert bool(seen) != is_short, query
