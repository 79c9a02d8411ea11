"""Tasks with what is asked for beside them (B12, B17): nothing more, in a constant number of statements."""

from html.parser import HTMLParser

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

PATH = "/api/v1/tasks/{}"
FIELDS = {
    "permissions": "permissions",
    "assignees": "assignee_details",
    "labels": "label_details",
    "comments_count": "comments_count",
    "checklist_progress": "checklist_progress",
    "starred": "is_starred",
    "html": "description_html",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg><animate onbegin=alert(1)></svg>",
    "<svg/onload=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "<div style='background:url(javascript:alert(1))'>x</div>",
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT&colon;alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](https://tracker.example/pixel.gif)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "<x\nonclick=alert(1)>y</x>",
    "<<script>script>alert(1)<</script>/script>",
    "[<img src=x onerror=alert(1)>](https://example.com)",
    '[x](https://example.com "a\\" onmouseover=\\"alert(1)")',
    "`<script>alert(1)</script>`",
    "<!--><script>alert(1)</script>-->",
    "<form action=//evil.example><input name=p><button>ok</button></form>",
]


class Attributes(HTMLParser):
    """Notes the name of every attribute."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def handle_starttag(self, _tag, attrs):
        self.names |= {name for name, _ in attrs}


@pytest.fixture
async def mine(api, test_gateway):
    me = uuid7()
    headers = test_gateway.headers(me)
    body = {"title": "a", "description": "**b** [c](https://example.com)", "assignees": [str(me)]}
    made = await api.post("/api/v1/tasks", json=body, headers=headers)
    return headers, made.json()["data"]


async def test_b12_each_is_there_when_asked_for_and_only_then(api, mine):
    headers, task = mine
    plain = (await api.get(PATH.format(task["id"]), headers=headers)).json()["data"]
    assert plain == task
    for name, field in FIELDS.items():
        for path, wrap in ((PATH.format(task["id"]), lambda one: one), ("/api/v1/tasks", lambda one: [one])):
            data = (await api.get(f"{path}?include={name}", headers=headers)).json()["data"]
            one = data if isinstance(data, dict) else data[0]
            assert data == wrap({**task, field: one[field]})


async def test_b12_several_at_once_repeated_or_joined(api, mine):
    headers, task = mine
    joined = await api.get(f"{PATH.format(task['id'])}?include={','.join(FIELDS)}", headers=headers)
    repeated = "&".join(f"include={name}" for name in FIELDS)
    again = await api.get(f"{PATH.format(task['id'])}?{repeated}&include=html", headers=headers)
    data = joined.json()["data"]
    assert data == again.json()["data"]
    assert data.keys() - task.keys() == set(FIELDS.values())
    assert [one["user_id"] for one in data["assignee_details"]] == task["assignees"]
    assert (data["comments_count"], data["checklist_progress"], data["label_details"]) == (
        0,
        {"done": 0, "total": 0},
        [],
    )


async def test_b12_what_nobody_knows_is_422_with_what_there_is(api, mine):
    headers, task = mine
    for query in ("include=htm", "include=labels,htm", "include=labels&include=htm"):
        answer = await api.get(f"{PATH.format(task['id'])}?{query}", headers=headers)
        (problem,) = answer.json()["errors"]
        assert (answer.status_code, problem["code"], problem["field"]) == (422, "NOT_ALLOWED", "include")
        assert (problem["hint"], problem["allowed"]) == ("did you mean html?", sorted(FIELDS))


async def test_b12_a_hundred_tasks_need_as_many_statements_as_one(api, mine, database):
    headers, _ = mine
    counts = []
    for more in (0, 30):
        for n in range(more):
            await api.post("/api/v1/tasks", json={"title": str(n), "description": "x"}, headers=headers)
        with statements_seen(database.reader) as seen:
            answer = await api.get(f"/api/v1/tasks?per_page=100&include={','.join(FIELDS)}", headers=headers)
        counts.append((len(answer.json()["data"]), len(seen)))
    assert counts == [(1, 6), (31, 6)]


async def test_b17_the_description_is_markdown_and_html_when_asked_for(api, mine):
    headers, task = mine
    assert task["description"] == "**b** [c](https://example.com)"
    path = f"{PATH.format(task['id'])}?include=html"
    shown = (await api.get(path, headers=headers)).json()["data"]
    assert shown["description_html"] == (
        '<p><strong>b</strong> <a href="https://example.com" rel="noopener noreferrer nofollow">c</a></p>\n'
    )
    await api.patch(PATH.format(task["id"]), json={"description": None}, headers=headers)
    assert (await api.get(path, headers=headers)).json()["data"]["description_html"] is None


async def test_b17_nothing_hostile_comes_through(api, mine):
    headers, task = mine
    for hostile in [*HOSTILE, "\n\n".join(HOSTILE), "> " * 50 + HOSTILE[0], "- " * 200 + HOSTILE[2]]:
        text = hostile.replace("\x01", "&#1;")
        made = await api.patch(PATH.format(task["id"]), json={"description": text}, headers=headers)
        assert made.status_code == 200, made.text
        assert made.json()["data"]["description"] == text
        html = (
            (await api.get(f"{PATH.format(task['id'])}?include=html", headers=headers))
            .json()["data"]["description_html"]
            .lower()
        )
        for bad in ("<script", "<img", "<svg", "<math", "<iframe", "<form", "<input", "<style", "<div", "<x", "<!--"):
            assert bad not in html, hostile
        for bad in ("javascript:", "data:", "vbscript:", "file:", "java"):
            assert f'href="{bad}' not in html, hostile
        found = Attributes()
        found.feed(html)
        assert found.names <= {"href", "title", "rel", "class", "start"}, hostile


async def test_b12_by_external_id_too(api, mine):
    headers, _ = mine
    path = "/api/v1/tasks/by-external/jira/1"
    await api.put(path, json={"title": "a", "description": "*b*"}, headers=headers)
    data = (await api.get(f"{path}?include=html,permissions", headers=headers)).json()["data"]
    assert (data["description_html"], data["permissions"]["can_edit"]) == ("<p><em>b</em></p>\n", True)


async def test_b12_a_task_is_read_with_the_fields_that_are_chosen_and_what_is_included(api, mine):
    headers, task = mine
    path = PATH.format(task["id"])

    async def shown(query):
        return (await api.get(f"{path}?{query}", headers=headers)).json()["data"]

    for query in ("fields=title,due", "fields=title&fields=due,title", "fields=title,id,due,is_starred"):
        assert await shown(query) == {name: task[name] for name in ("id", "title", "due")}
    assert await shown("fields=title&include=starred") == {"id": task["id"], "title": "a", "is_starred": False}
    assert await shown("fields=comments_count,key&include=starred") == {
        "id": task["id"],
        "key": task["key"],
        "is_starred": False,
    }
    answer = await api.get(f"{path}?fields=titel", headers=headers)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["code"], error["field"], error["hint"]) == (
        422,
        "UNKNOWN_FIELD",
        "fields",
        "did you mean title?",
    )


async def test_b12_chosen_fields_are_not_sent_again_while_the_version_is_the_same(api, mine):
    headers, task = mine
    path = PATH.format(task["id"])
    first = await api.get(f"{path}?fields=title", headers=headers)
    known = {**headers, "if-none-match": first.headers["etag"]}
    assert (await api.get(f"{path}?fields=title", headers=known)).status_code == 304
    again = await api.get(f"{path}?fields=title&include=starred", headers=known)
    assert (again.status_code, again.json()["data"]["is_starred"]) == (200, False)
    await api.patch(path, json={"title": "b"}, headers=headers)
    after = await api.get(f"{path}?fields=title", headers=known)
    assert (after.status_code, after.json()["data"]) == (200, {"id": task["id"], "title": "b"})


async def test_b12_what_is_not_included_is_absent_in_searches_too(api, mine):
    headers, task = mine
    for query, names in (
        ("include=starred", {*task, "is_starred", "rank", "highlights"}),
        ("include=starred&fields=rank,comments_count", {"id", "rank", "is_starred"}),
        ("fields=title", {"id", "title"}),
    ):
        [found] = (await api.get(f"/api/v1/tasks?q={task['key']}&{query}", headers=headers)).json()["data"]
        assert found.keys() == names, query
    [listed] = (await api.get("/api/v1/tasks?include=starred&fields=comments_count", headers=headers)).json()["data"]
    assert listed.keys() == {"id", "is_starred"}
