"""Lists of tasks: filters by parameters, sorts, cursors, totals, fields, and the same by a body."""

import httpx2
import pytest
from chassis.db.engine import open_database
from chassis.web.health import Health
from sqlalchemy import text
from tasks_service.main import create_app
from testkit.contract import contract_client


async def titles(roster, who, query):
    return [one["title"] for one in await roster.ok(who, "GET", f"/tasks?{query}")]


async def code(roster, query):
    answer = await roster.ask("owner", "GET", f"/tasks?{query}")
    error = answer.json()["errors"][0]
    return answer.status_code, error["code"], error.get("hint")


async def test_a_sort_puts_what_has_no_value_last_both_ways(roster):
    for title, due in (("b", None), ("a", "2026-12-02"), ("C", "2026-12-01"), ("d", None)):
        await roster.task(title=title, due=due)

    assert await titles(roster, "owner", "sort=due") == ["C", "a", "b", "d"]
    assert await titles(roster, "owner", "sort=-due") == ["a", "C", "d", "b"]
    assert await titles(roster, "owner", "sort=title") == ["a", "b", "C", "d"]


async def test_the_three_doors_find_the_same_and_say_what_they_understood(roster):
    for title, priority in (("a", "high"), ("b", "low"), ("c", "urgent")):
        await roster.task(title=title, priority=priority)
    tree = {"field": "priority", "op": "in", "value": ["high", "urgent"]}

    flat = await roster.ask("owner", "GET", "/tasks?priority=high,urgent&sort=-priority,due_at")
    text = await roster.ask("owner", "GET", "/tasks?filter=priority in (high, urgent)&sort=-priority,due")
    body = await roster.ask("owner", "POST", "/tasks/search", {"filter": tree, "sort": "-priority,due"})

    for answer in (flat, text, body):
        assert [one["title"] for one in answer.json()["data"]] == ["c", "a"]
        assert answer.json()["meta"]["resolved_filter"] == tree
        assert answer.json()["meta"]["sort"] == "-priority,due"
        assert answer.json()["meta"]["total_is_estimate"] is False


async def test_sorts_that_are_none_are_told_with_the_closest(roster):
    assert await code(roster, "sort=prioritty") == (422, "UNKNOWN_FIELD", "did you mean priority?")
    assert await code(roster, "sort=due,-due_at") == (422, "REPEATED_ENTRY", None)
    assert await code(roster, "sort=due,id,title,start,deadline") == (422, "TOO_MANY", None)
    assert await code(roster, "sort=-TITLE") == (422, "UNKNOWN_FIELD", "did you mean title?")
    assert await code(roster, "filter=TITLE = a") == (422, "UNKNOWN_FIELD", "did you mean title?")
    assert await code(roster, "STATUS=todo") == (422, "UNKNOWN_PARAMETER", "did you mean status?")
    assert await code(roster, "fields=titel") == (422, "UNKNOWN_FIELD", "did you mean title?")


async def test_fields_leave_the_rest_out_and_keep_the_id_and_what_is_included(roster):
    task = await roster.task(title="a")

    [shown] = await roster.ok("owner", "GET", "/tasks?fields=title,due&include=starred")

    assert shown == {"id": task["id"], "title": "a", "due": None, "is_starred": False}


async def test_d1_a_parameter_that_asks_for_too_much_is_told_by_its_name(roster):
    many = ",".join(["0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"] * 101)
    days = "&".join(["due_before=today()"] * 51)
    both = "&".join(["due_before=today()&due_after=today()"] * 26)

    for query, field in ((f"id={many}", "id"), (days, "due_before"), (both, None)):
        answer = await roster.ask("owner", "GET", f"/tasks?{query}")
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["field"]) == (400, "FILTER_TOO_COMPLEX", field)


async def test_d1_a_parameter_that_is_true_or_false_may_be_both(roster):
    for title in ("a", "b"):
        task = await roster.task(title=title)
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/star")
    both = {"field": "is_starred", "op": "in", "value": [True, False]}

    assert await titles(roster, "owner", "is_starred=true,false&sort=title") == ["a", "b"]
    assert await titles(roster, "owner", "is_starred=true&is_starred=true") == ["b"]
    assert await titles(roster, "owner", "is_archived=false&is_archived=true&sort=title") == ["a", "b"]
    assert len(await roster.ok("owner", "POST", "/tasks/search", {"filter": both})) == 2
    assert await roster.ok("owner", "POST", "/tasks/search", {"filter": {**both, "op": "not_in"}}) == []


async def test_a_cursor_is_of_its_filter_and_its_sort_and_its_caller(roster):
    for title in ("a", "b", "c"):
        await roster.task(title=title)
    first = await roster.ask("owner", "GET", "/tasks?sort=title&cursor=&per_page=1&status=todo")
    cursor = first.json()["meta"]["next_cursor"]

    assert await titles(roster, "owner", f"sort=title&cursor={cursor}&per_page=1&status=todo") == ["b"]
    for query in (f"sort=-title&status=todo&cursor={cursor}", f"sort=title&cursor={cursor}"):
        assert (await code(roster, query))[:2] == (400, "CURSOR_MISMATCH")
    answer = await roster.ask("member", "GET", f"/tasks?sort=title&status=todo&cursor={cursor}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "CURSOR_MISMATCH")
    assert (await code(roster, f"sort=title&status=todo&cursor={cursor[:-2]}"))[:2] == (400, "INVALID_CURSOR")


async def test_c2_archived_projects_are_left_out_unless_they_are_asked_for(roster):
    await roster.task(title="a")
    project = f"/projects/{roster.project_id}"
    await roster.ok("owner", "POST", f"{project}/archive")

    assert await titles(roster, "owner", "sort=title") == []
    for query in ("archived=true", "is_archived=true", f"project_id={roster.project_id}"):
        assert await titles(roster, "owner", query) == ["a"]


async def test_what_is_written_while_a_list_is_walked_repeats_nothing_and_skips_nothing(roster):
    made = [await roster.task(title=f"t{n}", estimate_minutes=n % 3 if n % 4 else None) for n in range(12)]
    seen, cursor = [], ""
    while cursor is not None:
        answer = await roster.ask("owner", "GET", f"/tasks?sort=-estimate_minutes&per_page=2&cursor={cursor}")
        seen += [one["title"] for one in answer.json()["data"]]
        cursor = answer.json()["meta"]["next_cursor"]
        await roster.task(title="new", estimate_minutes=2)

    own = [title for title in seen if title != "new"]
    assert sorted(own) == sorted(one["title"] for one in made)
    assert len(set(own)) == len(own)


async def test_d8_a_page_beyond_the_end_is_empty_and_knows_the_total(roster):
    await roster.task(title="a")

    answer = await roster.ask("owner", "GET", "/tasks?page=3")

    assert (answer.status_code, answer.json()["data"], answer.json()["meta"]["total"]) == (200, [], 1)


async def test_d1_each_filter_has_the_whole_depth_whatever_it_is_joined_with(roster):
    deep = {"field": "priority", "op": "=", "value": "high"}
    for level in range(6):
        deep = {"or" if level % 2 else "and": [deep, {"field": "title", "op": "=", "value": "b"}]}
    text = "(" * 6 + "priority = high" + ")" * 6
    await roster.task(title="a", priority="high")

    assert await titles(roster, "owner", f"filter={text}&status=todo") == ["a"]
    made = {"workspace_id": str(roster.workspace_id), "name": "deep", "filter": deep}
    saved = await roster.ok("owner", "POST", "/filters", made)
    assert await titles(roster, "owner", f"filter={text}&status=todo&filter_id={saved['id']}") == []
    for query in (f"filter=({text})", f"filter=not ({text})", f"filter=status = todo and {text}"):
        answer = await roster.ask("owner", "GET", f"/tasks?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "FILTER_TOO_COMPLEX"), query
    answer = await roster.ask("owner", "POST", "/tasks/search", {"filter": {"not": deep}})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "FILTER_TOO_COMPLEX")


async def test_d1_a_body_takes_lists_joined_by_commas_as_the_parameters_do(roster):
    for title, priority in (("Teal", "low"), ("Teal b", "high")):
        await roster.task(title=title, priority=priority)
    wanted = "sort=-priority,title&fields=title,priority&include=starred,permissions&scope=tasks,comments&q=teal"
    expected = await roster.ok("owner", "GET", f"/tasks?{wanted}")
    texts = {
        "sort": "-priority, title",
        "fields": "title,priority",
        "include": "starred,permissions",
        "scope": "tasks, comments",
        "q": "teal",
    }
    lists = {name: text.split(",") if name != "q" else text for name, text in texts.items()}
    lists = {name: [one.strip() for one in given] if name != "q" else given for name, given in lists.items()}
    for body in (texts, lists):
        assert await roster.ok("owner", "POST", "/tasks/search", body) == expected
    assert [one["title"] for one in expected] == ["Teal b", "Teal"]


async def test_r28_a_body_with_lists_that_are_none_is_told_where(roster):
    body = {"scope": "projects,tasks", "fields": "titel", "include": "", "sort": "flavor"}
    for wrong in (body, {name: given.split(",") for name, given in body.items()}):
        for name in wrong:
            answer = await roster.ask("owner", "POST", "/tasks/search", {name: wrong[name]})
            [error] = answer.json()["errors"]
            assert (answer.status_code, error["field"].partition(".")[0]) == (422, name)
    for wrong in (7, {"a": "b"}):
        answer = await roster.ask("owner", "POST", "/tasks/search", dict.fromkeys(body, wrong))
        assert [one["code"] for one in answer.json()["errors"]] == ["WRONG_TYPE"] * 4


async def test_d3_no_name_of_a_zone_is_told_alike_wherever_it_stands(roster):
    for headers, query in (({}, "&tz="), ({"x-timezone": ""}, "")):
        answer = await roster.ask("owner", "GET", f"/tasks?per_page=1{query}", **headers)
        error = answer.json()["errors"][0]
        assert (answer.status_code, error["code"]) == (422, "UNKNOWN_TIMEZONE")
        assert error["field"] == ("tz" if query else "X-Timezone")
    for body, headers in (({"tz": ""}, {}), ({}, {"x-timezone": ""})):
        answer = await roster.ask("owner", "POST", "/tasks/search", body, **headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "UNKNOWN_TIMEZONE")


async def test_d3_a_search_takes_its_zone_from_its_body_or_its_query(roster):
    body = {"filter": "due = today()"}
    for query, more, zone in (
        ("?tz=Asia/Tokyo", {}, "Asia/Tokyo"),
        ("?tz=Asia/Tokyo", {"tz": "Europe/Berlin"}, "Europe/Berlin"),
        ("", {"tz": "Europe/Berlin"}, "Europe/Berlin"),
    ):
        answer = await roster.ask("owner", "POST", f"/tasks/search{query}", body | more, **{"x-timezone": "UTC"})
        assert (answer.status_code, answer.json()["meta"]["timezone"]) == (200, zone)


async def test_d1_places_that_are_named_twice_are_those_that_both_times_name(roster):
    place = {"name": "Other", "workspace_id": str(roster.workspace_id)}
    other, here = (await roster.ok("owner", "POST", "/projects", place))["id"], str(roster.project_id)
    await roster.task(title="here")
    await roster.task(title="other", project_id=other)

    for field, first, second in (("project_id", here, other), ("workspace_id", roster.workspace_id, other)):
        assert await titles(roster, "owner", f"{field}={first}&filter={field} = {second}") == []
        assert await titles(roster, "owner", f"{field}={second}&filter={field} = {first}") == []
    assert await titles(roster, "owner", f"project_id={here},{other}&filter=project_id = {other}") == ["other"]


@pytest.fixture
async def hurried(settings, database_settings, contract):
    """The service with a database that ends what takes a tenth of a second."""
    database = open_database(
        database_settings.model_copy(update={"statement_seconds": 0.1}), application_name="tasks-hurried-tests"
    )
    transport = httpx2.ASGITransport(app=create_app(settings, database=database, health=Health()))
    async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
        yield client
    await database.close()


async def test_r39_what_takes_the_database_too_long_is_ended_and_told(roster, database, hurried):
    asked = [
        ("GET", f"/tasks/{(await roster.task())['id']}", None),
        ("GET", "/tasks?sort=title", None),
        ("GET", "/tasks?cursor=", None),
        ("POST", "/tasks/search", {"filter": "title contains a"}),
        ("GET", "/tasks/aggregate?group_by=status", None),
        ("GET", "/tasks/facets?by=status", None),
        ("GET", "/search?q=heron", None),
        ("POST", "/tasks/bulk/by-filter", {"filter": "status = todo", "patch": {"title": "a"}, "expected_count": 1}),
    ]
    headers = roster.gateway.headers(roster.ids["owner"])
    async with database.writer.begin() as connection:
        await connection.execute(text("LOCK TABLE tasks.project, tasks.task IN ACCESS EXCLUSIVE MODE"))
        answers = [
            await hurried.request(method, f"/api/v1{path}", json=body, headers=headers) for method, path, body in asked
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"


async def test_d3_a_floating_time_that_comes_twice_is_the_first(roster):
    for clock in ("01:59:00", "02:00:00", "02:59:00", "03:00:00"):
        await roster.task(title=clock, due={"local": f"2026-10-25T{clock}"})

    for bound, wanted in (
        ("<= 2026-10-25T00:00:00Z", ["01:59:00", "02:00:00"]),
        ("= 2026-10-25T00:59:00Z", ["02:59:00"]),
        (">= 2026-10-25T01:00:00Z", ["03:00:00"]),
        ("< 2026-10-25T02:00:00Z", ["01:59:00", "02:00:00", "02:59:00"]),
    ):
        assert await titles(roster, "owner", f"filter=due {bound}&sort=title&tz=Europe/Berlin") == wanted, bound
    for clock in ("02:00:00", "02:30:00", "03:00:00"):
        await roster.task(title=f"spring {clock}", due={"local": f"2026-03-29T{clock}"})
    spring = "filter=due = 2026-03-29T01:30:00Z and title starts_with spring&tz=Europe/Berlin"
    assert await titles(roster, "owner", spring) == ["spring 02:30:00"]
