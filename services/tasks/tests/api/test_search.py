"""Lists of tasks that are searched (D5, D6): joined with filters, in any order, in pages that hold together."""

from urllib.parse import quote

import pytest
from tasks_service.searching.rules import MOST_NUMBERED
from testkit.statements import statements_seen

FIVE = 5


@pytest.fixture
def listed(roster):
    """Lists tasks by a search, and returns the answer."""

    async def run(q, who="owner", **parameters):
        named = "".join(f"&{name}={quote(str(value))}" for name, value in parameters.items())
        answer = await roster.ask(who, "GET", f"/tasks?q={quote(q)}{named}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    return run


def titles(answer):
    return [one["title"] for one in answer["data"]]


async def test_d5_a_list_is_searched_and_filtered_and_sorted(roster, listed):
    await roster.task(title="Heron low", priority="low")
    await roster.task(title="Heron", priority="high")
    await roster.task(title="Other", description="a heron", priority="high")
    answer = await listed("heron")
    assert titles(answer) == ["Heron", "Heron low", "Other"]
    assert (answer["meta"]["total"], answer["meta"]["sort"]) == (3, "-rank")
    assert all(0.1 < one["rank"] < 1 and one["highlights"] for one in answer["data"])
    assert answer["data"][0]["highlights"][0]["text"] == "<mark>Heron</mark>"
    assert titles(await listed("heron", priority="high")) == ["Heron", "Other"]
    assert titles(await listed("heron", sort="-priority,title", priority="high,low")) == ["Heron", "Other", "Heron low"]
    assert titles(await listed("heron", sort="id")) == ["Heron low", "Heron", "Other"]
    assert titles(await listed("heron", filter="priority = low")) == ["Heron low"]
    sparse = await listed("heron", fields="title,rank")
    assert [set(one) for one in sparse["data"]] == [{"id", "title", "rank"}] * 3
    body = {"q": "heron", "filter": {"field": "priority", "op": "=", "value": "low"}}
    assert [one["title"] for one in await roster.ok("owner", "POST", "/tasks/search", body)] == ["Heron low"]


async def test_d5_a_scope_narrows_where_is_searched(roster, listed):
    by_title = await roster.task(title="Bittern")
    by_comment = await roster.task(title="Reeds")
    await roster.ok("owner", "POST", f"/tasks/{by_comment['id']}/comments", {"body": "a bittern"})
    assert titles(await listed("bittern", scope="tasks")) == ["Bittern"]
    assert titles(await listed("bittern", scope="comments")) == ["Reeds"]
    assert titles(await listed("bittern", scope="comments,tasks")) == ["Bittern", "Reeds"]
    assert titles(await listed(by_title["key"])) == ["Bittern"]
    assert titles(await listed(by_title["key"], scope="comments")) == []


async def test_d7_a_walk_holds_together_while_others_write(roster, listed):
    for number in range(7):
        await roster.task(title=f"Curlew {number}")
    seen, cursor = [], ""
    while cursor is not None:
        answer = await listed("curlew", per_page=2, cursor=cursor)
        seen += titles(answer)
        cursor = answer["meta"]["next_cursor"]
        await roster.task(title=f"Curlew later {len(seen)}")
    first = [f"Curlew {number}" for number in range(7)]
    assert [one for one in seen if one in first] == first[::-1]
    assert len(seen) == len(set(seen))


async def test_d5_what_is_like_the_words_stays_so_for_a_walk(roster, listed):
    await roster.task(title="Sandpiper")
    for number in range(3):
        await roster.task(title=f"Sandpipper {number}")
    first = await listed("sandpiper", per_page=2, cursor="")
    for number in range(FIVE):
        await roster.task(title=f"The sandpiper {number}")
    rest = await listed("sandpiper", per_page=9, cursor=first["meta"]["next_cursor"])
    assert titles(first)[0] == "Sandpiper"
    assert {one for one in titles(first) + titles(rest) if one.startswith("Sandpipper")} == {
        f"Sandpipper {number}" for number in range(3)
    }
    other = await roster.ask("owner", "GET", f"/tasks?q=curlew&cursor={first['meta']['next_cursor']}")
    assert (other.status_code, other.json()["errors"][0]["code"]) == (400, "CURSOR_MISMATCH")


async def test_d5_nothing_of_what_is_hidden_is_told(roster, listed):
    private = await roster.ok(
        "owner", "POST", "/projects", {"name": "X", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    )
    hidden = await roster.task(title="Shoveler", project_id=private["id"])
    for who in ("member", "editor", "guest", "stranger"):
        for q in ("shoveler", "shovelor", hidden["key"]):
            answer = await listed(q, who=who)
            assert (answer["data"], answer["meta"]["total"]) == ([], 0)
    await roster.ok("owner", "PUT", f"/tasks/{hidden['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    assert titles(await listed("shoveler", who="guest")) == ["Shoveler"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/tasks?scope=tasks", None),
        ("GET", "/tasks?scope=tasks,comments,attachments&filter=priority = low", None),
        ("GET", "/tasks/aggregate?group_by=status&scope=comments", None),
        ("GET", "/tasks/facets?by=label&scope=comments", None),
        ("POST", "/tasks/search", {"scope": ["comments"]}),
    ],
)
async def test_d5_a_scope_without_a_search_is_refused(roster, method, path, body):
    answer = await roster.ask("owner", method, path, body)
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["field"]) == (422, "NOT_ALLOWED", "scope")
    assert "`q`" in error["message"]


async def test_d5_a_search_of_nothing_but_spaces_needs_a_word(roster):
    asked = [("GET", "/tasks?q=%20%20", None), ("GET", "/search?q=%20%20", None)]
    for method, path, body in [*asked, ("POST", "/tasks/search", {"q": "  "})]:
        answer = await roster.ask("owner", method, path, body)
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["field"]) == (422, "INVALID_FORMAT", "q")
        assert error["message"] == "A search needs a word: this is nothing but spaces."


@pytest.mark.parametrize("parameters", ["q=", "q=%20", f"q={'a' * 201}", "q=a&scope=projects", "sort=rank"])
async def test_d5_what_can_not_be_searched_for_is_refused(roster, parameters):
    assert (await roster.ask("owner", "GET", f"/tasks?{parameters}")).status_code == 422


async def test_r36_no_statement_of_a_list_reads_documents_without_what_the_caller_sees(roster, database, listed):
    await roster.task(title="Avocet")
    for parameters in ({}, {"sort": "-id"}, {"page": 2}, {"cursor": ""}, {"priority": "none"}):
        with statements_seen(database.reader) as seen:
            await listed("avocet", **parameters)
        reading = [one for one in seen if "search_document" in one and "pg_class" not in one]
        assert len(reading) >= 2
        for statement in reading:
            assert "JOIN tasks.member" in statement, statement
            assert "tasks.member.user_id = " in statement, statement


async def test_d12_a_token_finds_in_lists_what_it_is_restricted_to(roster, test_gateway):
    other = await roster.ok("owner", "POST", "/projects", {"name": "O", "workspace_id": str(roster.workspace_id)})
    await roster.task(title="Dunlin outside")
    inside = await roster.task(title="Dunlin inside", project_id=other["id"])
    for sort in ("-rank", "-id"):
        headers = test_gateway.token_headers(roster.ids["owner"], "tasks:read", project_ids=[other["id"]])
        answer = (await roster.api.get(f"/api/v1/tasks?q=dunlin&sort={sort}", headers=headers)).json()
        assert ([one["id"] for one in answer["data"]], answer["meta"]["total"]) == ([inside["id"]], 1)


async def test_d9_what_is_not_searched_has_no_rank(roster):
    asked = [("GET", "/tasks?sort=title,-rank", None), ("POST", "/tasks/search", {"sort": "rank"})]
    for method, path, body in asked:
        answer = await roster.ask("owner", method, path, body)
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["field"]) == (422, "NOT_ALLOWED", "sort")
        assert "rank" not in error["allowed"]
        assert "`q`" in error["message"]


async def test_d7_a_walk_by_long_titles_goes_on_with_all_that_is_like_the_words(roster, listed):
    """What a cursor has to say is most where titles are long and in another script, and many are like the words."""
    birds = "\U0001f426" * 150
    for word in (*(f"heron {number:02}" for number in range(20)), "herronn a", "herronn b"):
        await roster.task(title=f"{birds} {word}")
    first = await listed("herronn", sort="title", per_page=1, cursor="")
    cursor = first["meta"]["next_cursor"]
    assert len(cursor) > 2048
    second = await listed("herronn", sort="title", per_page=1, cursor=cursor)
    assert len({*titles(first), *titles(second)}) == 2


async def test_d5_a_number_finds_the_tasks_that_have_it_in_their_key(roster, listed):
    other = await roster.ok("owner", "POST", "/projects", {"name": "O", "workspace_id": str(roster.workspace_id)})
    first, _ = await roster.task(title="Godwit"), await roster.task(title="Ruff")
    same = await roster.task(title="Snipe", project_id=other["id"])
    number = first["key"].rpartition("-")[2]
    assert same["key"].rpartition("-")[2] == number
    await roster.task(title=f"Room {number}")
    for q in (number, f"#{number}"):
        answer = await listed(q)
        assert titles(answer) == ["Snipe", "Godwit", f"Room {number}"], q
        assert [one["rank"] for one in answer["data"]][:2] == [1, 1]
        assert answer["data"][1]["highlights"] == [
            {"field": "key", "id": first["id"], "text": f"<mark>{first['key']}</mark>"}
        ]
        assert answer["meta"]["total"] == 3
    assert titles(await listed(number, sort="id")) == ["Godwit", "Snipe", f"Room {number}"]
    assert titles(await listed(number, scope="comments")) == []
    assert titles(await listed(number, project_id=other["id"])) == ["Snipe"]
    assert titles(await listed(first["key"].lower())) == ["Godwit"]
    assert (titles(await listed(f"0{number}")), titles(await listed(f"{number}0"))) == ([], [])


async def test_d5_a_number_finds_nothing_that_is_hidden(roster, listed):
    private = await roster.ok(
        "owner", "POST", "/projects", {"name": "X", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    )
    hidden = [await roster.task(title="Smew", project_id=private["id"]) for _ in range(2)][-1]
    number = hidden["key"].rpartition("-")[2]
    assert titles(await listed(number)) == ["Smew"]
    for who in ("member", "guest", "stranger"):
        assert (await listed(number, who=who))["meta"]["total"] == 0
    await roster.ok("owner", "PUT", f"/tasks/{hidden['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    assert titles(await listed(number, who="guest")) == ["Smew"]


async def test_d5_of_a_number_that_many_tasks_have_the_newest_are_found(roster, listed):
    places = []
    for number in range(MOST_NUMBERED + 2):
        body = {"name": str(number), "workspace_id": str(roster.workspace_id)}
        places.append((await roster.ok("owner", "POST", "/projects", body))["id"])
    operations = [{"op": "create", "data": {"title": "Teal", "project_id": place}} for place in places]
    made = [one["id"] for one in await roster.ok("owner", "POST", "/tasks/bulk", {"operations": operations})]
    answer = await listed("1", per_page=50)
    assert [one["id"] for one in answer["data"]] == made[::-1][:MOST_NUMBERED]


async def test_d5_what_is_like_the_words_is_found_in_any_order_and_counted(roster, listed):
    for title in ("Grebe b", "Grebe a", "Other"):
        await roster.task(title=title)
    assert titles(await listed("greebe")) == ["Grebe a", "Grebe b"]
    for parameters in ({}, {"cursor": ""}):
        assert titles(await listed("greebe", sort="title", **parameters)) == ["Grebe a", "Grebe b"]
        assert titles(await listed("greebe", sort="id", filter="title contains b", **parameters)) == [
            "Grebe b",
            "Grebe a",
        ]
    first = await listed("greebe", sort="title", per_page=1, cursor="")
    second = await listed("greebe", sort="title", per_page=1, cursor=first["meta"]["next_cursor"])
    assert titles(first) + titles(second) == ["Grebe a", "Grebe b"]
    counted = await roster.ask("owner", "GET", "/tasks/aggregate?group_by=status&q=greebe")
    assert counted.json()["meta"]["total"] == 2
