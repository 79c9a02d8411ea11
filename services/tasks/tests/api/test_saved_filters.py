"""D10: filters that are kept under a name, for oneself or for the members of a workspace."""

import asyncio

import pytest
from chassis.ids import uuid7

PATH = "/filters"
SAME_REQUEST = {"x-request-id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}
TREE = {"field": "status", "op": "=", "value": "todo"}


def wanted(team, **fields):
    return {"name": "Open", "workspace_id": str(team.workspace_id), "filter": TREE, **fields}


@pytest.fixture
def keep(roster):
    """Saves a filter by a member of the team, and returns it."""

    async def make(who="member", **fields):
        return await roster.ok(who, "POST", PATH, wanted(roster, **fields))

    return make


async def names(team, who, query=""):
    return [one["name"] for one in await team.ok(who, "GET", f"{PATH}?workspace_id={team.workspace_id}{query}")]


def code(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_d10_a_filter_is_kept_as_it_was_written_and_read_where_the_answer_says(roster):
    answer = await roster.ask("member", "POST", PATH, wanted(roster, description="d", sort="-priority,due", q="door"))
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"/api/v1/filters/{made['id']}"
    expected = {
        "workspace_id": str(roster.workspace_id),
        "owner_id": roster.id("member"),
        "name": "Open",
        "description": "d",
        "scope": "personal",
        "filter": TREE,
        "sort": "-priority,due",
        "q": "door",
        "version": 1,
    }
    assert {name: value for name, value in made.items() if name in expected} == expected
    assert made.keys() - expected.keys() == {"id", "created_at", "updated_at"}
    read = await roster.ask("member", "GET", f"{PATH}/{made['id']}")
    assert (read.json()["data"], read.headers["etag"]) == (made, '"1"')
    unchanged = await roster.ask("member", "GET", f"{PATH}/{made['id']}", **{"if-none-match": '"1"'})
    assert unchanged.status_code == 304


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("assignee = me", {"field": "assignee", "op": "=", "value": "me"}),
        ("due < today()+7d", {"field": "due", "op": "<", "value": "today()+7d"}),
        ("estimate_minutes >= 90", {"field": "estimate_minutes", "op": ">=", "value": 90}),
        ("is_starred = true", {"field": "is_starred", "op": "=", "value": True}),
        ("title = '90'", {"field": "title", "op": "=", "value": "90"}),
        ("meta.crm.a = 1.5", {"field": "meta.crm.a", "op": "=", "value": 1.5}),
        ("meta.crm.a = '1.5'", {"field": "meta.crm.a", "op": "=", "value": "1.5"}),
        ("not due is_null", {"not": {"field": "due", "op": "is_null"}}),
        (
            "status = todo or priority in (high, urgent) and title contains 'a b'",
            {
                "or": [
                    {"field": "status", "op": "=", "value": "todo"},
                    {
                        "and": [
                            {"field": "priority", "op": "in", "value": ["high", "urgent"]},
                            {"field": "title", "op": "contains", "value": "a b"},
                        ]
                    },
                ]
            },
        ),
    ],
)
async def test_d10_text_is_kept_as_its_json_in_which_nothing_is_resolved(roster, keep, text, document):
    made = await keep(filter=text)
    assert made["filter"] == document
    path = f"{PATH}/{made['id']}"
    again = await roster.ok("member", "PATCH", path, {"filter": document})
    assert (again["filter"], again["version"]) == (document, 1)


async def test_d10_what_means_nothing_is_not_kept(roster, keep):
    made = await keep()
    long = " or ".join(f"title = {'x' * 60}{n}" for n in range(50))
    told = {
        "flavor = todo": (422, "UNKNOWN_FIELD"),
        "status < todo": (422, "OPERATOR_NOT_ALLOWED"),
        "priority = highest": (422, "VALUE_NOT_ALLOWED"),
        "status =": (400, "INVALID_FILTER"),
        "": (400, "INVALID_FILTER"),
        # As text it is short enough, and as what is kept it is not.
        long: (400, "FILTER_TOO_COMPLEX"),
    }
    assert len(long) < 4096
    before = await roster.log()
    for text, refused in told.items():
        for method, path in (("POST", PATH), ("PATCH", f"{PATH}/{made['id']}")):
            body = {"filter": text} if method == "PATCH" else wanted(roster, name="other", filter=text)
            assert code(await roster.ask("member", method, path, body)) == refused
    assert await roster.log() == before


async def test_d10_a_personal_one_is_its_owners_alone_and_a_shared_one_is_for_members(roster, keep):
    personal, shared = await keep(name="mine"), await keep(name="ours", scope="shared")
    for who in ("owner", "admin", "colleague"):
        assert await names(roster, who) == ["ours"]
        assert (await roster.ask(who, "GET", f"{PATH}/{personal['id']}")).status_code == 404
        assert (await roster.ask(who, "GET", f"{PATH}/{shared['id']}")).status_code == 200
    for who in ("guest", "editor", "stranger"):
        assert await names(roster, who) == []
        for one in (personal, shared):
            for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
                answer = await roster.ask(who, method, f"{PATH}/{one['id']}", body, **SAME_REQUEST)
                absent = await roster.ask(who, method, f"{PATH}/{uuid7()}", body, **SAME_REQUEST)
                assert (answer.status_code, answer.content) == (404, absent.content)
    assert await names(roster, "member") == ["mine", "ours"]
    assert await names(roster, "member", "&scope=personal") == ["mine"]
    assert await names(roster, "member", "&scope=shared") == ["ours"]


async def test_d10_a_shared_one_is_changed_by_who_made_it_and_by_admins_alone(roster, keep):
    shared = await keep(scope="shared")
    path = f"{PATH}/{shared['id']}"
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert code(await roster.ask("colleague", method, path, body)) == (403, "FORBIDDEN")
    for version, who in enumerate(("member", "admin", "owner"), start=2):
        changed = await roster.ok(who, "PATCH", path, {"name": who})
        assert (changed["name"], changed["version"], changed["owner_id"]) == (who, version, roster.id("member"))
    # What another made is not taken for oneself, nor for its maker.
    assert code(await roster.ask("owner", "PATCH", path, {"scope": "personal"})) == (403, "FORBIDDEN")
    assert (await roster.ok("owner", "DELETE", path)) is None
    assert await names(roster, "member") == []


async def test_d10_a_guest_keeps_filters_and_shares_none(roster, keep):
    mine = await keep("guest")
    assert mine["scope"] == "personal"
    assert code(await roster.ask("guest", "POST", PATH, wanted(roster, scope="shared"))) == (403, "FORBIDDEN")
    answer = await roster.ask("guest", "PATCH", f"{PATH}/{mine['id']}", {"scope": "shared"})
    assert code(answer) == (403, "FORBIDDEN")
    assert (await roster.ok("guest", "PATCH", f"{PATH}/{mine['id']}", {"scope": "personal", "q": "a"}))["q"] == "a"
    assert code(await roster.ask("stranger", "POST", PATH, wanted(roster))) == (422, "WORKSPACE_NOT_FOUND")
    kept = await roster.ok("stranger", "POST", PATH, {"name": "Inbox"})
    assert [one["id"] for one in await roster.ok("stranger", "GET", PATH)] == [kept["id"]]


async def test_d10_names_are_unique_among_ones_own_and_among_the_shared(roster, keep):
    await keep(name="Straße")
    for name in ("STRASSE", " strasse "):
        answer = await roster.ask("member", "POST", PATH, wanted(roster, name=name))
        assert (code(answer), answer.json()["errors"][0]["field"]) == ((409, "FILTER_EXISTS"), "name")
    await keep("colleague", name="Straße")
    await keep("colleague", name="Straße", scope="shared")
    answer = await roster.ask("owner", "POST", PATH, wanted(roster, name="strasse", scope="shared"))
    assert code(answer) == (409, "FILTER_EXISTS")
    other = await keep(name="b")
    for patch in ({"name": "strasse"}, {"name": "strasse", "scope": "shared"}):
        assert code(await roster.ask("member", "PATCH", f"{PATH}/{other['id']}", patch)) == (409, "FILTER_EXISTS")


async def test_d10_of_twenty_equal_names_at_once_one_is_kept(roster):
    asked = [roster.ask("member", "POST", PATH, wanted(roster, name=name)) for name in ("open", "OPEN") * 10]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {code(answer) for answer in answers if answer.status_code != 201} == {(409, "FILTER_EXISTS")}
    assert [kind for kind, *_ in await roster.log()] == ["filter.created.v1"]


async def test_d10_one_user_has_at_most_two_hundred_however_fast(roster, keep, rows):
    await keep()
    copies = """
        INSERT INTO tasks.saved_filter SELECT (jsonb_populate_record(NULL::tasks.saved_filter, to_jsonb(one)
            || jsonb_build_object('id', uuidv7(), 'name_key', n::text))).*
        FROM tasks.saved_filter AS one, generate_series(1, 197) AS n WHERE one.workspace_id = :w
    """
    await rows(copies, w=roster.workspace_id)
    asked = [roster.ask("member", "POST", PATH, wanted(roster, name=f"n{n}", scope="shared")) for n in range(20)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [422] * 18
    assert {code(answer) for answer in answers if answer.status_code == 422} == {(422, "TOO_MANY")}
    await keep("colleague")


async def test_d10_a_change_names_its_version_and_tells_the_fields(roster, keep):
    made = await keep()
    path = f"{PATH}/{made['id']}"
    answer = await roster.ask("member", "PATCH", path, {"sort": "due", "filter": None}, **{"if-match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    stale = await roster.ask("member", "PATCH", path, {"sort": "-due"}, **{"if-match": '"1"'})
    assert code(stale) == (412, "VERSION_CONFLICT")
    merged = await roster.ask("member", "PATCH", f"{path}?merge=fields", {"q": "a"}, **{"if-match": '"1"'})
    assert (merged.status_code, merged.json()["data"]["sort"]) == (200, "due")
    again = await roster.ask("member", "PATCH", path, {"q": "a"})
    assert (again.status_code, again.headers["etag"]) == (200, '"3"')
    read_only = await roster.ask("member", "PATCH", path, {"owner_id": roster.id("owner")})
    assert code(read_only) == (422, "READ_ONLY_FIELD")
    log = await roster.log_after(1)
    assert [(kind, changes) for kind, changes, _ in log] == [
        ("filter.updated.v1", {"filter": (TREE, None), "sort": (None, "due")}),
        ("filter.updated.v1", {"q": (None, "a")}),
    ]


async def test_d10_who_is_told_is_who_sees_it(roster, keep, rows):
    made = await keep()
    path = f"{PATH}/{made['id']}"
    await roster.ok("member", "PATCH", path, {"scope": "shared"})
    await roster.ok("member", "PATCH", path, {"scope": "personal"})
    await roster.ok("member", "DELETE", path)
    members = {"owner", "admin", "member", "colleague"}
    assert [(kind, audience) for kind, _, audience in await roster.log()] == [
        ("filter.created.v1", {"member"}),
        ("filter.updated.v1", members),
        ("filter.updated.v1", {"member"}),
        ("filter.deleted.v1", {"member"}),
    ]
    found = await rows("SELECT lost_by FROM tasks.change WHERE workspace_id = :w ORDER BY seq", w=roster.workspace_id)
    lost = [set(one or ()) for (one,) in found]
    assert lost == [set(), set(), {roster.ids[who] for who in members - {"member"}}, set()]


async def test_d10_the_audit_tells_nobody_of_what_another_keeps_for_themselves(roster, keep):
    await keep(name="mine")
    await keep(name="ours", scope="shared")
    path = f"/workspaces/{roster.workspace_id}/audit"
    entries = await roster.ok("owner", "GET", path)
    assert [(one["type"], "mine" in str(one)) for one in entries] == [("filter.created", False)]


async def test_d10_who_leaves_takes_personal_ones_along_and_leaves_the_shared(roster, keep, rows):
    await keep(name="mine")
    await keep(name="ours", scope="shared")
    await keep("colleague", name="theirs")
    path = f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}/offboard"
    report = await roster.ok("owner", "POST", path, {"unassign": True})
    assert report["filters"] == 1
    kept = await rows("SELECT name FROM tasks.saved_filter WHERE workspace_id = :w ORDER BY 1", w=roster.workspace_id)
    assert kept == [("ours",), ("theirs",)]
    assert await names(roster, "owner") == ["ours"]
    assert (await roster.ok("owner", "GET", PATH))[0]["owner_id"] == roster.id("member")


async def test_d10_a_token_restricted_to_another_workspace_sees_none(roster, keep, test_gateway):
    made = await keep()
    token = {"workspace_id": uuid7()}, {"project_ids": [uuid7()]}, {"workspace_id": roster.workspace_id}
    for bounds, status in zip(token, (404, 404, 200), strict=True):
        headers = test_gateway.token_headers(roster.ids["member"], "tasks:read", **bounds)
        answer = await roster.api.get(f"/api/v1/filters/{made['id']}", headers=headers)
        listed = (await roster.api.get("/api/v1/filters", headers=headers)).json()["data"]
        assert (answer.status_code, len(listed)) == (status, int(status == 200))


async def test_a8_a_token_restricted_to_projects_sees_what_is_shared_and_nothing_that_is_ones_own(
    roster, keep, test_gateway
):
    mine, shared = await keep(name="mine", q="merger"), await keep(name="ours", scope="shared")

    async def ask(method, path, body=None, who="member", **bounds):
        headers = {**test_gateway.token_headers(roster.ids[who], "tasks:read", "tasks:write", **bounds), **SAME_REQUEST}
        return await roster.api.request(method, f"/api/v1{path}", json=body, headers=headers)

    inside = {"project_ids": [roster.project_id]}
    asked = [
        ("GET", "/filters/{}", None),
        ("PATCH", "/filters/{}", {"name": "x"}),
        ("GET", "/tasks?filter_id={}", None),
    ]
    asked += [("GET", "/tasks/aggregate?group_by=status&filter_id={}", None)]
    checks = [{"action": "filter.read", "resource": {"type": "filter", "id": mine["id"]}}]
    for bounds in (inside, {"workspace_id": roster.workspace_id, **inside}):
        for method, path, body in asked:
            hidden, absent = [await ask(method, path.format(one), body, **bounds) for one in (mine["id"], uuid7())]
            assert hidden.status_code in {404, 422}
            assert hidden.content == absent.content
        for query in ("", "?scope=personal", f"?workspace_id={roster.workspace_id}"):
            listed = (await ask("GET", f"/filters{query}", **bounds)).json()
            expected = [] if "personal" in query else ["ours"]
            assert ([one["name"] for one in listed["data"]], listed["meta"]["total"]) == (expected, len(expected))
        answer = await ask("POST", "/authz/check", {"checks": checks}, **bounds)
        assert [one["reason"] for one in answer.json()["data"]] == ["NOT_FOUND"]
        assert (await ask("GET", f"/tasks?filter_id={shared['id']}", **bounds)).status_code == 200
    assert (await ask("GET", "/filters", who="guest", **inside)).json()["data"] == []
    # Of one that is restricted to a workspace, all that is in it is meant.
    whole = await ask("GET", f"/filters/{mine['id']}", workspace_id=roster.workspace_id)
    assert whole.json()["data"]["q"] == "merger"


async def test_a10_one_asks_what_one_may_do_with_a_saved_filter(roster, keep):
    mine, shared = await keep(name="mine"), await keep(name="ours", scope="shared")

    async def answers(who):
        asked = [("filter.edit", "filter", mine["id"]), ("filter.edit", "filter", shared["id"])]
        asked += [("filter.delete", "filter", shared["id"]), ("workspace.create_filter", "workspace", None)]
        checks = [
            {"action": action, "resource": {"type": kind, "id": one or str(roster.workspace_id)}}
            for action, kind, one in asked
        ]
        return [one["reason"] for one in await roster.ok(who, "POST", "/authz/check", {"checks": checks})]

    assert await answers("member") == ["ALLOWED"] * 4
    assert await answers("colleague") == ["NOT_FOUND", "ROLE_TOO_LOW", "ROLE_TOO_LOW", "ALLOWED"]
    assert await answers("admin") == ["NOT_FOUND", *["ALLOWED"] * 3]
    assert await answers("guest") == ["NOT_FOUND"] * 3 + ["ROLE_TOO_LOW"]


async def test_h5_what_was_done_to_a_saved_filter_is_undone(roster):
    async def undone(method, path, body=None, who="member"):
        """Do something, and undo it."""
        asked = str(uuid7())
        data = await roster.ok(who, method, path, body, **{"x-request-id": asked})
        await roster.ok(who, "POST", f"/operations/{asked}/undo")
        return data

    made = await undone("POST", PATH, wanted(roster))
    assert (await roster.ask("member", "GET", f"{PATH}/{made['id']}")).status_code == 404
    made = await roster.ok("member", "POST", PATH, wanted(roster, scope="shared", q="a"))
    path = f"{PATH}/{made['id']}"
    await undone("PATCH", path, {"name": "x", "filter": None, "scope": "personal", "q": None})
    kept = {name: value for name, value in made.items() if name not in {"version", "updated_at"}}
    read = await roster.ok("member", "GET", path)
    assert ({name: read[name] for name in kept}, read["version"]) == (kept, 3)
    await undone("DELETE", path, who="admin")
    read = await roster.ok("colleague", "GET", path)
    assert ({name: read[name] for name in kept}, read["version"]) == (kept, 5)
    asked = str(uuid7())
    await roster.ok("member", "DELETE", path, **{"x-request-id": asked})
    await roster.ok("owner", "POST", PATH, wanted(roster, scope="shared"))
    assert code(await roster.ask("member", "POST", f"/operations/{asked}/undo")) == (409, "FILTER_EXISTS")


async def titles(team, who, query):
    return [one["title"] for one in await team.ok(who, "GET", f"/tasks?{query}")]


async def test_d10_a_list_is_narrowed_by_a_saved_filter_as_who_asks(roster, keep):
    for title, people in (("a", ("member",)), ("b", ("member", "colleague")), ("c", ("colleague",))):
        await roster.task(title=title, assignees=roster.several(*people))
    shared = await keep(scope="shared", filter="assignee = me", sort="title")
    by_id = f"filter_id={shared['id']}"
    assert await titles(roster, "member", by_id) == ["a", "b"]
    assert await titles(roster, "colleague", by_id) == ["b", "c"]
    assert await titles(roster, "member", f"{by_id}&sort=-title") == ["b", "a"]
    assert await titles(roster, "member", f"{by_id}&filter=title = b") == ["b"]
    found = await roster.ok("colleague", "POST", "/tasks/search", {"filter_id": shared["id"], "filter": "title != c"})
    assert [one["title"] for one in found] == ["b"]
    answer = await roster.ask("colleague", "GET", f"/tasks?{by_id}&status=todo")
    resolved = answer.json()["meta"]["resolved_filter"]
    assert {"field": "assignees", "op": "=", "value": roster.id("colleague")} in resolved["and"]


async def test_d10_a_search_of_ones_own_takes_the_place_of_the_kept_one_and_filters_are_joined(roster, keep):
    for title, status in (("Red door", "todo"), ("Red gate", "todo"), ("Old gate", "done")):
        made = await roster.task(title=title)
        if status == "done":
            await roster.ok("owner", "PATCH", f"/tasks/{made['id']}", {"status": status})
    kept = await keep(filter="status = todo", q="door", sort="title")
    by_id = f"filter_id={kept['id']}"
    assert await titles(roster, "member", by_id) == ["Red door"]
    assert await titles(roster, "member", f"{by_id}&q=gate") == ["Red gate"]
    found = await roster.ok("member", "POST", "/tasks/search", {"filter_id": kept["id"], "q": "gate"})
    assert [one["title"] for one in found] == ["Red gate"]
    answer = await roster.ask("member", "GET", f"/tasks/aggregate?group_by=status&{by_id}&q=gate")
    assert answer.json()["meta"]["total"] == 1


async def test_d10_a_kept_order_by_rank_needs_a_search(roster, keep):
    await roster.task(title="Red door")
    kept = await keep(filter=None, sort="-rank")
    by_id = f"filter_id={kept['id']}"
    answer = await roster.ask("member", "GET", f"/tasks?{by_id}")
    assert (code(answer), answer.json()["errors"][0]["field"]) == ((422, "NOT_ALLOWED"), "filter_id")
    assert await titles(roster, "member", f"{by_id}&q=door") == ["Red door"]
    assert await titles(roster, "member", f"{by_id}&sort=title") == ["Red door"]
    # A count has no order.
    counted = await roster.ask("member", "GET", f"/tasks/aggregate?group_by=status&{by_id}")
    assert (counted.status_code, counted.json()["meta"]["total"]) == (200, 1)


async def test_d10_a_scope_needs_a_search_of_the_request_or_of_what_is_kept(roster, keep):
    await roster.task(title="Red door")
    kept, searching = await keep(name="a", filter="status = todo"), await keep(name="b", q="door")
    answer = await roster.ask("member", "GET", f"/tasks?filter_id={kept['id']}&scope=tasks")
    assert (code(answer), answer.json()["errors"][0]["field"]) == ((422, "NOT_ALLOWED"), "scope")
    assert await titles(roster, "member", f"filter_id={searching['id']}&scope=tasks") == ["Red door"]
    assert await titles(roster, "member", f"filter_id={searching['id']}&scope=comments") == []


async def test_d10_a_saved_filter_that_one_does_not_see_is_answered_as_one_that_is_not_there(roster, keep):
    mine, shared = await keep(name="mine"), await keep(name="ours", scope="shared")
    for who, one in (("owner", mine), ("guest", shared), ("stranger", shared)):
        ids = one["id"], str(uuid7())
        asked = [[("POST", "/tasks/search", {"filter_id": named}) for named in ids]]
        asked += [[("GET", f"/tasks{path}filter_id={named}") for named in ids] for path in ("?", "/facets?by=label&")]
        for both in asked:
            hidden, absent = [await roster.ask(who, *request, **SAME_REQUEST) for request in both]
            assert (code(hidden), hidden.json()["errors"][0]["field"]) == ((422, "FILTER_NOT_FOUND"), "filter_id")
            assert hidden.content == absent.content


async def test_d10_a_walk_ends_with_what_it_walks_by(roster, keep):
    for number in range(3):
        await roster.task(title=f"t{number}")
    made = await keep(filter="title contains t")
    first = await roster.ask("member", "GET", f"/tasks?filter_id={made['id']}&per_page=1&cursor=")
    onwards = f"/tasks?filter_id={made['id']}&per_page=1&cursor={first.json()['meta']['next_cursor']}"
    await roster.ok("member", "PATCH", f"{PATH}/{made['id']}", {"name": "renamed"})
    assert (await roster.ask("member", "GET", onwards)).status_code == 200
    await roster.ok("member", "PATCH", f"{PATH}/{made['id']}", {"filter": "title contains 1"})
    assert code(await roster.ask("member", "GET", onwards)) == (400, "CURSOR_MISMATCH")


async def test_d10_what_means_nothing_any_more_is_told_and_no_crash(roster, keep, rows):
    made = await keep()
    gone = (
        """UPDATE tasks.saved_filter SET filter = '{"field": "flavor", "op": "=", "value": "sweet"}' WHERE id = :id"""
    )
    await rows(gone, id=made["id"])
    for path in ("/tasks?", "/tasks/aggregate?group_by=status&"):
        answer = await roster.ask("member", "GET", f"{path}filter_id={made['id']}")
        error = answer.json()["errors"][0]
        assert (answer.status_code, error["code"], error["field"]) == (422, "UNKNOWN_FIELD", "filter_id")
        assert error["pointer"] == "/field"
    await rows("UPDATE tasks.saved_filter SET filter = NULL, sort = 'flavor' WHERE id = :id", id=made["id"])
    answer = await roster.ask("member", "GET", f"/tasks?filter_id={made['id']}")
    assert (code(answer), answer.json()["errors"][0]["field"]) == ((422, "UNKNOWN_FIELD"), "filter_id")


async def test_d10_what_no_list_is_sorted_by_is_not_kept(roster, keep):
    for sort in ("flavor", "due,due", "id,due,start,title,deadline"):
        answer = await roster.ask("member", "POST", PATH, wanted(roster, sort=sort))
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "sort")
    made = await keep(sort="-priority,due")
    answer = await roster.ask("member", "PATCH", f"{PATH}/{made['id']}", {"sort": "flavor"})
    assert code(answer) == (422, "UNKNOWN_FIELD")


@pytest.mark.parametrize(
    ("written", "expected"),
    [("status = todo or " * 300 + "status = todo", (400, "FILTER_TOO_COMPLEX")), (7, (422, "WRONG_TYPE"))],
)
async def test_r28_what_is_no_filter_is_told_as_by_a_search(roster, written, expected):
    saved = await roster.ok("member", "POST", PATH, {"name": "a", "workspace_id": str(roster.workspace_id)})
    answers = [
        await roster.ask("member", "POST", "/tasks/search", {"filter": written}),
        await roster.ask("member", "POST", PATH, {"name": "b", "filter": written}),
        await roster.ask("member", "PATCH", f"{PATH}/{saved['id']}", {"filter": written}),
        await roster.ask(
            "member", "POST", "/tasks/bulk/by-filter", {"filter": written, "expected_count": 1, "patch": {"title": "b"}}
        ),
    ]
    assert [(one.status_code, one.json()["errors"][0]["code"]) for one in answers] == [expected] * 4
    assert [one.json()["errors"] for one in answers[1:]] == [answers[0].json()["errors"]] * 3
