"""D11, M3: counts in groups are those of the list, walked to its end, for whoever asks."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from zoneinfo import ZoneInfo

import httpx2
import pytest
from chassis.ids import uuid7
from chassis.web.health import Health
from tasks_service.main import create_app
from testkit.contract import contract_client

ZONE = "America/New_York"
WALKED = 100
SAME_REQUEST = {"x-request-id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}


class Walked:
    """What is counted, told from a task of the list."""

    status = staticmethod(lambda task: [task["status"]])
    status_category = staticmethod(lambda task: [task["status_category"]])
    priority = staticmethod(lambda task: [task["priority"]])
    project = staticmethod(lambda task: [task["project_id"]])
    workspace = staticmethod(lambda task: [task["workspace_id"]])
    category = staticmethod(lambda task: [task["category_id"]])
    assignee = staticmethod(lambda task: task["assignees"] or [None])
    assigned_to = staticmethod(lambda task: [task["assigned_to"]])
    label = staticmethod(lambda task: [one["id"] for one in task["label_details"]] or [None])
    created_by = staticmethod(lambda task: [task["created_by"]])
    due_day = staticmethod(lambda task: [due_day(task["due"])])
    completed_day = staticmethod(lambda task: [day_of(task["completed_at"])])
    created_day = staticmethod(lambda task: [day_of(task["created_at"])])


DIMENSIONS = [name for name in vars(Walked) if not name.startswith("_")]


def day_of(instant):
    if instant is None:
        return None
    return datetime.fromisoformat(instant).astimezone(ZoneInfo(ZONE)).date().isoformat()


def due_day(due):
    if due is None:
        return None
    if due.get("date"):
        return due["date"]
    return due["local"][:10] if due["at"] is None else day_of(due["at"])


@pytest.fixture
async def world(roster, rows):
    """A team with an open, a private and an archived project, tasks of all kinds, shares, and labels of one's own."""
    workspace = str(roster.workspace_id)
    private = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": workspace})
    await roster.ok("owner", "PATCH", f"/projects/{private['id']}", {"visibility": "private"})
    archived = await roster.ok("owner", "POST", "/projects", {"name": "R", "workspace_id": workspace})
    label, other = [
        await roster.ok("owner", "POST", "/labels", {"name": name, "workspace_id": workspace}) for name in "ab"
    ]
    category = await roster.ok("owner", "POST", "/categories", {"name": "c", "workspace_id": workspace})
    dues = (None, {"date": "2026-12-24"}, {"at": "2026-12-24T02:00:00Z"}, {"local": "2026-12-24T23:00:00"})
    chance = random.Random(4711)
    tasks = []
    for number in range(45):
        project = (str(roster.project_id), private["id"], archived["id"])[number % 3]
        wanted = {
            "title": f"Task {number}",
            "project_id": project,
            "priority": chance.choice(("none", "high", "urgent")),
            "labels": chance.choice(([], [label["id"]], [label["id"], other["id"]])),
            "category_id": chance.choice((None, category["id"])),
            "due": chance.choice(dues),
        }
        people = ("owner", "admin") if number % 3 == 1 else ("owner", "member", "colleague")
        wanted["assignees"] = roster.several(*chance.sample(people, chance.randrange(len(people))))
        task = await roster.task(**{name: value for name, value in wanted.items() if value is not None})
        if chance.random() < 0.4:
            await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"status": "done"})
        if chance.random() < 0.1:
            await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
        else:
            tasks.append(task)
    for task in tasks[:12:2]:
        await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    own = await roster.ok("member", "POST", "/labels", {"name": "own", "personal": True})
    for task in [one for one in tasks if one["project_id"] == str(roster.project_id)][:4]:
        await roster.ok("member", "PUT", f"/tasks/{task['id']}/labels/{own['id']}")
    await roster.ok("owner", "POST", f"/projects/{archived['id']}/archive")
    completed = (
        "UPDATE tasks.task SET completed_at = :at WHERE workspace_id = :w AND number % 2 = 0 AND status = 'done'"
    )
    await rows(completed, at=datetime(2026, 11, 1, 3, tzinfo=UTC), w=roster.workspace_id)
    return roster


async def walked(team, who, query):
    found, cursor = [], ""
    while cursor is not None:
        path = f"/tasks?include=labels&per_page={WALKED}&cursor={cursor}{query}"
        answer = await team.ask(who, "GET", path)
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        cursor = answer.json()["meta"]["next_cursor"]
    return found


def expected(tasks, by):
    keys = [product(*(getattr(Walked, name)(task) for name in by)) for task in tasks]
    return Counter(key for of_task in keys for key in of_task)


async def counted(team, who, by, query):
    answer = await team.ask(who, "GET", f"/tasks/aggregate?group_by={','.join(by)}{query}")
    assert answer.status_code == 200, answer.text
    groups, meta = answer.json()["data"], answer.json()["meta"]
    assert (meta["total_is_estimate"], meta["truncated"]) == (False, False)
    assert [one["count"] for one in groups] == sorted((one["count"] for one in groups), reverse=True)
    assert all(tuple(one["key"]) == tuple(by) for one in groups)
    return Counter({tuple(one["key"].values()): one["count"] for one in groups}), meta["total"]


FILTERS = (
    "&archived=true",
    "&filter=priority in (high, urgent)",
    "&filter=assignee = me",
    "&filter=not due is_null and status = todo",
    "&status=done",
    "&filter=due < 2026-12-24 or assignee is_null",
    "&filter=watcher = me or title contains '3'",
    "&filter=title = nothing",
)


@pytest.mark.parametrize("who", ["owner", "member", "colleague", "guest", "viewer", "stranger"])
async def test_d11_counts_are_those_of_the_list_walked_to_its_end(world, who):
    chance = random.Random(who)
    for query in ("", *chance.sample(FILTERS, 4)):
        zoned = f"{query}&tz={ZONE}"
        tasks = await walked(world, who, zoned)
        pairs = [tuple(chance.sample(DIMENSIONS, 2)) for _ in range(4)]
        for by in [*((one,) for one in chance.sample(DIMENSIONS, 3)), *pairs]:
            assert await counted(world, who, by, zoned) == (expected(tasks, by), len(tasks)), (query, by)
        asked = chance.sample(DIMENSIONS, 5)
        answer = await world.ask(who, "GET", f"/tasks/facets?by={','.join(asked)}{zoned}")
        assert answer.json()["meta"]["total"] == len(tasks)
        shown = {by: Counter({(one["value"],): one["count"] for one in found}) for by, found in facets(answer)}
        assert shown == {by: expected(tasks, (by,)) for by in asked}, query


def facets(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["data"].items()


async def test_d11_what_is_searched_for_is_counted_as_it_is_listed(world):
    saved = {"name": "q", "workspace_id": str(world.workspace_id), "scope": "shared", "q": "task"}
    saved = await world.ok("owner", "POST", "/filters", saved)
    for query in ("&q=task", f"&filter_id={saved['id']}", "&q=task&filter=status = todo", "&q=nothing"):
        for who in ("member", "colleague" if "filter_id" in query else "guest"):
            tasks = await walked(world, who, f"{query}&sort=id")
            assert bool(tasks) is ("nothing" not in query)
            assert await counted(world, who, ("priority",), query) == (expected(tasks, ("priority",)), len(tasks))


async def test_d11_every_dimension_is_counted(world):
    tasks = await walked(world, "member", f"&tz={ZONE}")
    for by in DIMENSIONS:
        assert (await counted(world, "member", (by,), f"&tz={ZONE}"))[0] == expected(tasks, (by,)), by
    assert len(tasks) > 10


@pytest.fixture
async def sampling(settings, database, contract):
    """The service with so low a limit that it looks at samples, which are all that there is."""
    few = replace(settings, tasks=settings.tasks.model_copy(update={"aggregate_exact_up_to": 1}))
    app = create_app(few, database=database, health=Health())
    transport = httpx2.ASGITransport(app=app)
    async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
        yield client


@pytest.mark.parametrize("query", ["", "&filter=assignee = me", "&filter=priority != none&archived=true"])
async def test_d11_of_more_than_are_looked_at_the_newest_stand_for_all(world, sampling, query):
    for who in ("member", "guest"):
        tasks, headers = await walked(world, who, query), world.gateway.headers(world.ids[who])
        answer = await sampling.get(f"/api/v1/tasks/facets?by=label,status,assignee{query}", headers=headers)
        shown = {by: Counter({(one["value"],): one["count"] for one in found}) for by, found in facets(answer)}
        assert shown == {by: expected(tasks, (by,)) for by in ("label", "status", "assignee")}
        meta = answer.json()["meta"]
        # What is found by whom it is for, or is shared one by one, is looked at, however much else there is.
        is_estimate = who == "member" and "assignee" not in query
        assert (meta["total"], meta["total_is_estimate"]) == (len(tasks), is_estimate)


async def test_m3_what_one_does_not_see_changes_no_number(world):
    async def numbers(who, headers=None):
        found = []
        for path in ("aggregate?group_by=project,assignee", "aggregate?group_by=label", "facets?by=status,priority"):
            asked = f"/api/v1/tasks/{path}"
            answer = await world.api.get(asked, headers=headers or world.gateway.headers(world.ids[who]))
            meta = {name: value for name, value in answer.json()["meta"].items() if name != "request_id"}
            found.append((answer.status_code, answer.json()["data"], meta))
        return found

    bounds = {"project_ids": [world.project_id]}
    token = world.gateway.token_headers(world.ids["owner"], "tasks:read", **bounds)
    nobodys = ("member", "colleague", "guest", "viewer", "stranger")
    [private] = [one["id"] for one in await world.ok("owner", "GET", "/projects") if one["name"] == "Q"]
    before = [await numbers(who) for who in nobodys], await numbers("owner", token)
    owners = await numbers("owner")
    for _ in range(3):
        await world.task(project_id=private, assignees=world.several("owner"), priority="urgent")
    assert ([await numbers(who) for who in nobodys], await numbers("owner", token)) == before
    assert await numbers("owner") != owners


async def test_d11_a_task_of_two_assignees_counts_in_both_groups_and_once_in_the_total(roster):
    both = roster.several("owner", "member")
    await roster.task(assignees=both)
    await roster.task()
    counts, total = await counted(roster, "owner", ("assignee",), f"&project_id={roster.project_id}")
    assert (counts, total) == (Counter({(both[0],): 1, (both[1],): 1, (None,): 1}), 2)


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("aggregate", ("group_by", "REQUIRED", None)),
        ("aggregate?group_by=statuses", ("group_by", "UNKNOWN_FIELD", "did you mean status?")),
        ("aggregate?group_by=status,label,assignee", ("group_by", "TOO_MANY", None)),
        ("aggregate?group_by=status,status", ("group_by", "REPEATED_ENTRY", None)),
        ("facets?by=assignees", ("by", "UNKNOWN_FIELD", "did you mean assignee?")),
        ("aggregate?group_by=status&filter=flavor = sweet", ("filter", "UNKNOWN_FIELD", None)),
        ("aggregate?group_by=status&sort=due", ("sort", "UNKNOWN_PARAMETER", None)),
        ("aggregate?group_by=status&tz=Mars/Base", ("tz", "UNKNOWN_TIMEZONE", None)),
    ],
)
async def test_d11_what_is_wrong_is_told(roster, path, refused):
    answer = await roster.ask("owner", "GET", f"/tasks/{path}")
    error = answer.json()["errors"][0]
    field, code, hint = refused
    assert (answer.status_code, error["field"], error["code"]) == (422, field, code)
    assert hint is None or error["hint"] == hint


async def test_d11_at_most_a_thousand_groups_are_told(roster, rows):
    made = await roster.task()
    many = "UPDATE tasks.task SET labels = ARRAY(SELECT uuidv7() FROM generate_series(1, 1100)) WHERE id = :id"
    await rows(many, id=made["id"])
    answer = await roster.ask("owner", "GET", f"/tasks/aggregate?group_by=label&project_id={roster.project_id}")
    found = answer.json()
    assert (len(found["data"]), found["meta"]["truncated"], found["meta"]["total"]) == (1000, True, 1)
    answer = await roster.ask("owner", "GET", f"/tasks/facets?by=label,status&project_id={roster.project_id}")
    assert answer.json()["meta"]["truncated"] == ["label"]


async def test_d10_a_saved_filter_counts_as_it_lists(world):
    saved = {"name": "mine", "workspace_id": str(world.workspace_id), "scope": "shared", "filter": "assignee = me"}
    saved = await world.ok("owner", "POST", "/filters", saved)
    for who in ("owner", "member", "colleague"):
        tasks = await walked(world, who, f"&filter_id={saved['id']}")
        assert tasks
        assert all(world.id(who) in task["assignees"] for task in tasks)
        counts, total = await counted(world, who, ("status",), f"&filter_id={saved['id']}")
        assert (counts, total) == (expected(tasks, ("status",)), len(tasks))
    for who in ("guest", "stranger"):
        hidden, absent = [
            await world.ask(
                who, "GET", f"/tasks/aggregate?group_by=status&filter_id={one}", **{"x-request-id": "a" * 8}
            )
            for one in (saved["id"], uuid7())
        ]
        assert (hidden.status_code, hidden.json()["errors"][0]["code"]) == (422, "FILTER_NOT_FOUND")
        assert hidden.content == absent.content
