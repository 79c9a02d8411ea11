"""Lists of tasks: filters by parameters, sorts, cursors, totals, fields, and the same by a body."""


async def ids(roster, who, query):
    return [one["title"] for one in await roster.ok(who, "GET", f"/tasks?{query}")]


async def test_a_sort_puts_what_has_no_value_last_both_ways(roster):
    for title, due in (("b", None), ("a", "2026-12-02"), ("C", "2026-12-01"), ("d", None)):
        await roster.task(title=title, due=due)

    assert await ids(roster, "owner", "sort=due") == ["C", "a", "b", "d"]
    assert await ids(roster, "owner", "sort=-due") == ["a", "C", "d", "b"]
    assert await ids(roster, "owner", "sort=title") == ["a", "b", "C", "d"]
