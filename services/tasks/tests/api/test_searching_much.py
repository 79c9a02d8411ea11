"""Searches for words that many tasks have (D5, D7): the newest are ranked, and all the others come after them."""

from dataclasses import replace
from urllib.parse import quote

import httpx2
import pytest
from chassis.web.health import Health
from tasks_service.main import create_app
from testkit.statements import statements_seen

MANY, RANKED = 40, 4
"""Much more than is ranked, so that it is the newest that are."""


@pytest.fixture(scope="module")
async def capped(settings, database):
    """The API of a service that ranks few."""
    few = settings.tasks.model_copy(update={"search_ranked_up_to": RANKED})
    app = create_app(replace(settings, tasks=few), database=database, health=Health())
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://tasks") as client:
        yield client


@pytest.fixture
def listed(capped, roster, test_gateway):
    """Lists tasks by a search, and returns the answer."""

    async def run(q, who="owner", **parameters):
        named = "".join(f"&{name}={quote(str(value))}" for name, value in parameters.items())
        headers = test_gateway.headers(roster.ids[who])
        answer = await capped.get(f"/api/v1/tasks?q={quote(q)}{named}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return run


@pytest.fixture
async def many(roster):
    """Tasks with a word, in two projects and one after the other; every third says it in its description alone."""
    place = {"name": "Other", "workspace_id": str(roster.workspace_id)}
    other = (await roster.ok("owner", "POST", "/projects", place))["id"]
    data = []
    for number in range(MANY):
        words = {"title": f"Plover {number}"} if number % 3 else {"title": f"{number}", "description": "a plover"}
        where = other if number % 2 else str(roster.project_id)
        data.append({**words, "project_id": where, "priority": "high" if number % 5 else "low"})
    operations = [{"op": "create", "data": one} for one in data]
    made = await roster.ok("owner", "POST", "/tasks/bulk", {"mode": "atomic", "operations": operations})
    return [{"id": one["id"], **given} for one, given in zip(made, data, strict=True)]


@pytest.fixture
def walked(listed):
    """Walks through a list, and returns its pages."""

    async def run(q, **parameters):
        pages, cursor = [], ""
        while cursor is not None:
            answer = await listed(q, cursor=cursor, **parameters)
            pages.append(answer)
            cursor = answer["meta"]["next_cursor"]
        return pages

    return run


def ids(answers):
    return [one["id"] for answer in answers for one in answer["data"]]


async def test_d7_a_walk_by_rank_has_each_task_once_the_newest_ranked_and_the_rest_by_age(many, walked):
    pages = await walked("plover", per_page=7)
    found = [one for page in pages for one in page["data"]]
    assert len(found) == MANY
    assert {one["id"] for one in found} == {one["id"] for one in many}
    ranks = [one["rank"] for one in found]
    assert ranks == sorted(ranks, reverse=True)
    best = [one for one in found if one["rank"] > 0.1]
    rest = [one["id"] for one in found if one["rank"] == 0.1]
    assert RANKED <= len(best) < MANY / 2
    assert len(best) + len(rest) == MANY
    age = [one["id"] for one in many][::-1]
    assert {one["id"] for one in best} == set(age[: len(best)])
    assert rest == age[len(best) :]
    assert all(one["highlights"] for one in found)


async def test_d7_pages_and_walks_both_ways_have_the_same(many, listed, walked):
    pages = await walked("plover", per_page=7)
    whole = ids(pages)
    by_number = [await listed("plover", per_page=7, page=number) for number in range(1, 7)]
    assert ids(by_number) == whole
    assert {one["meta"]["total"] for one in by_number} == {MANY}
    assert ids(await walked("plover", per_page=7, sort="rank")) == whole[::-1]
    back, cursor = [], pages[-1]["meta"]["prev_cursor"]
    while cursor is not None:
        answer = await listed("plover", per_page=7, cursor=cursor)
        back.append(answer)
        cursor = answer["meta"]["prev_cursor"]
    assert ids(back[::-1]) == ids(pages[:-1])


@pytest.mark.parametrize("sort", ["priority,-rank", "-rank,title", "-priority,rank,-id", "id", "-title"])
async def test_d5_in_any_order_all_that_fits_is_listed_once(many, walked, sort):
    found = ids(await walked("plover", per_page=9, sort=sort))
    assert (len(found), set(found)) == (MANY, {one["id"] for one in many})


async def test_d5_what_a_filter_leaves_of_it_is_whole_too(many, roster, walked, listed):
    low = {one["id"] for one in many if one["priority"] == "low"}
    assert len(low) == MANY / 5
    assert set(ids(await walked("plover", per_page=3, priority="low"))) == low
    oldest = many[0]["id"]
    await roster.ok("owner", "PUT", f"/tasks/{oldest}/assignees", {"user_ids": [roster.id("owner")]})
    assert ids([await listed("plover", assignee="me")]) == [oldest]
    assert (await listed("plover", assignee="me"))["meta"]["total"] == 1


async def test_d5_of_what_is_hidden_nothing_is_found_however_much_there_is(many, roster, listed, rows):
    oldest = many[0]["id"]
    await rows("UPDATE tasks.project SET visibility = 'private' WHERE workspace_id = :id", id=roster.workspace_id)
    for who in ("member", "guest", "stranger"):
        answer = await listed("plover", who=who)
        assert (answer["data"], answer["meta"]["total"]) == ([], 0), who
    await roster.ok("owner", "PUT", f"/tasks/{oldest}/shares/{roster.id('guest')}", {"role": "viewer"})
    answer = await listed("plover", who="guest")
    assert (ids([answer]), answer["meta"]["total"]) == ([oldest], 1)


async def test_n5_a_search_takes_as_many_statements_whatever_it_finds(many, roster, database, listed):
    async def asked(q, **parameters):
        with statements_seen(database.reader) as seen:
            await listed(q, **parameters)
        return len(seen)

    page = await asked("plover", per_page=2)
    assert await asked("plover", per_page=3) == page
    last = await asked("plover", per_page=2, page=20)
    assert last <= page + 1
    for _ in range(5):
        await roster.task(title="Plover")
    assert await asked("plover", per_page=2) == page


async def test_n5_words_that_never_come_together_are_not_looked_for_one_by_one(many, roster, rows, database, listed):
    """Of two common words the planner expects much; there is nothing, and no list may walk to its end to see that."""
    operations = [
        {"op": "create", "data": {"title": f"Wigeon {number}", "project_id": str(roster.project_id)}}
        for number in range(MANY)
    ]
    await roster.ok("owner", "POST", "/tasks/bulk", {"mode": "atomic", "operations": operations})
    await rows("ANALYZE tasks.search_document")
    with statements_seen(database.reader) as seen:
        # What is quoted is not compared with titles that are merely like it.
        answer = await listed('"plover" wigeon', sort="-priority")
    assert (answer["data"], answer["meta"]["total"]) == ([], 0)
    lists = [one for one in seen if "heads AS MATERIALIZED" in one]
    assert (len(lists), [one for one in lists if "reached AS MATERIALIZED" not in one]) == (1, [])
