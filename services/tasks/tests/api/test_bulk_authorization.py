"""E1 to E3: every operation of many is decided as its single request is, by whoever asks, and never as a whole."""

import pytest
from chassis.ids import uuid7

OPS = (
    "create",
    "update",
    "delete",
    "restore",
    "complete",
    "reopen",
    "move",
    "assign",
    "unassign",
    "add_label",
    "remove_label",
    "add_own_label",
    "remove_own_label",
)
OF_OWN = {"add_own_label", "remove_own_label"}
PEOPLE = ("owner", "admin", "member", "guest", "editor", "commenter", "viewer", "stranger")
ALL = ("tasks:read", "tasks:write", "tasks:delete")
TOKENS = {
    "token that writes": {"scopes": ("tasks:read", "tasks:write")},
    "token that deletes": {"scopes": ("tasks:delete",)},
    "token that reads": {"scopes": ("tasks:read",)},
    "read-only token": {"scopes": ALL, "read_only": True},
    "token of this project": {"scopes": ALL, "project_ids": "here"},
    "token of another project": {"scopes": ALL, "project_ids": "elsewhere"},
    "token of another workspace": {"scopes": ALL, "workspace_id": uuid7()},
}


@pytest.fixture
async def pairs(roster):
    """Makes for each operation two tasks that are the same, one for each way of asking; returns them by operation."""
    there = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    label = await roster.ok("owner", "POST", "/labels", {"name": "l", "workspace_id": str(roster.workspace_id)})
    fields = {
        "reopen": {"status": "done"},
        "unassign": {"assignees": roster.several("member", "colleague")},
        "remove_label": {"labels": [label["id"]]},
    }
    body = {"title": "a", "project_id": str(roster.project_id)}
    made = [{"op": "create", "data": {**body, **fields.get(name, {})}} for name in OPS for _ in range(2)]
    ids = [one["id"] for one in await roster.ok("owner", "POST", "/tasks/bulk", {"operations": made})]
    found = {name: ids[2 * place : 2 * place + 2] for place, name in enumerate(OPS)}
    gone = [{"op": "delete", "id": one} for one in found["restore"]]
    await roster.ok("owner", "POST", "/tasks/bulk", {"operations": gone})
    return {"tasks": found, "there": there["id"], "label": label["id"]}


def single(name, pairs, task, own, roster):
    """Return the single request of an operation."""
    return {
        "create": ("POST", "", {"title": "b", "project_id": str(roster.project_id)}),
        "update": ("PATCH", f"/{task}", {"title": "b"}),
        "delete": ("DELETE", f"/{task}", None),
        "restore": ("POST", f"/{task}/restore", None),
        "complete": ("PATCH", f"/{task}", {"status": "done"}),
        "reopen": ("PATCH", f"/{task}", {"status": "todo"}),
        "move": ("POST", f"/{task}/move", {"project_id": pairs["there"]}),
        "assign": ("POST", f"/{task}/assignees", {"user_id": roster.id("colleague")}),
        "unassign": ("DELETE", f"/{task}/assignees/{roster.id('colleague')}", None),
        "add_label": ("PUT", f"/{task}/labels/{pairs['label']}", None),
        "remove_label": ("DELETE", f"/{task}/labels/{pairs['label']}", None),
        "add_own_label": ("PUT", f"/{task}/labels/{own}", None),
        "remove_own_label": ("DELETE", f"/{task}/labels/{own}", None),
    }[name]


def operation(name, pairs, task, own, roster):
    """Return the same as one of many."""
    more = {
        "update": {"patch": {"title": "b"}},
        "move": {"project_id": pairs["there"]},
        "assign": {"user_ids": [roster.id("colleague")]},
        "unassign": {"user_ids": [roster.id("colleague")]},
        "add_label": {"label_id": pairs["label"]},
        "remove_label": {"label_id": pairs["label"]},
        "add_own_label": {"label_id": own},
        "remove_own_label": {"label_id": own},
    }
    if name == "create":
        return {"op": "create", "data": {"title": "b", "project_id": str(roster.project_id)}}
    return {"op": name.replace("_own", ""), "id": task, **more.get(name, {})}


async def asked_both_ways(roster, pairs, headers, own):
    """Ask for each operation by itself, and for all at once; return the answers of both, by operation."""
    alone, together = {}, []
    for name in OPS:
        first, second = pairs["tasks"][name]
        method, path, body = single(name, pairs, first, own, roster)
        answer = await roster.api.request(method, f"/api/v1/tasks{path}", json=body, headers=headers)
        alone[name] = answer.status_code, [(one["code"], one["message"]) for one in answer.json()["errors"]]
        together.append(operation(name, pairs, second, own, roster))
    body = {"mode": "partial", "operations": together}
    answer = await roster.api.post("/api/v1/tasks/bulk", json=body, headers=headers)
    items = answer.json()["data"]
    found = {
        name: (item["status"], [(one["code"], one["message"]) for one in (item["error"] or {"errors": []})["errors"]])
        for name, item in zip(OPS, items, strict=True)
    }
    failed = sum(item["error"] is not None for item in items)
    assert answer.status_code == (200 if failed == 0 else 422 if failed == len(OPS) else 207)
    meta = answer.json()["meta"]
    assert (meta["total"], meta["succeeded"], meta["failed"]) == (len(OPS), len(OPS) - failed, failed)
    return alone, found, together


async def refused_by_the_first(roster, headers, together, found):
    """Each refusal is that of a whole that begins with it, too, and then nothing is done."""
    before = len(await roster.log())
    for index, name in enumerate(OPS):
        status, errors = found[name]
        if status < 300:
            continue
        answer = await roster.api.post("/api/v1/tasks/bulk", json={"operations": [together[index]]}, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["index"]) == (status, 0)
        assert [(one["code"], one["message"]) for one in answer.json()["errors"]] == errors
    assert len(await roster.log()) == before


@pytest.mark.parametrize("who", PEOPLE)
async def test_e3_each_operation_is_answered_as_its_single_request(roster, pairs, who):
    headers = roster.gateway.headers(roster.ids[who])
    own = (await roster.ok(who, "POST", "/labels", {"name": "o", "personal": True}))["id"]
    alone, found, together = await asked_both_ways(roster, pairs, headers, own)
    assert found == alone
    done = {name for name, (status, _) in found.items() if status < 300}
    editing = set(OPS)
    # The other project is not for guests.
    allowed = {"editor": editing - {"move"}, "commenter": OF_OWN, "viewer": OF_OWN, "guest": set(), "stranger": set()}
    assert done == allowed.get(who, editing)
    await refused_by_the_first(roster, headers, together, found)


@pytest.mark.parametrize("name", TOKENS)
async def test_e3_each_operation_needs_the_scope_of_its_single_request(roster, pairs, name):
    terms = dict(TOKENS[name])
    scopes = terms.pop("scopes")
    if "project_ids" in terms:
        terms["project_ids"] = [roster.project_id if terms["project_ids"] == "here" else uuid7()]
    headers = roster.gateway.token_headers(roster.ids["admin"], *scopes, **terms)
    own = (await roster.ok("admin", "POST", "/labels", {"name": "o", "personal": True}))["id"]
    alone, found, together = await asked_both_ways(roster, pairs, headers, own)
    assert found == alone
    refusals = {name: errors[0][0] for name, (_, errors) in found.items() if errors}
    expected = {
        "token that writes": {"delete": "INSUFFICIENT_SCOPE"},
        "token that deletes": dict.fromkeys(set(OPS) - {"delete"}, "INSUFFICIENT_SCOPE"),
        "token that reads": dict.fromkeys(OPS, "INSUFFICIENT_SCOPE"),
        "read-only token": dict.fromkeys(OPS, "TOKEN_READ_ONLY"),
        # It reaches no label of its user's own, either.
        "token of this project": {"move": "PROJECT_NOT_FOUND", **dict.fromkeys(OF_OWN, "NOT_FOUND")},
    }
    hidden = {**dict.fromkeys(OPS, "NOT_FOUND"), "create": "PROJECT_NOT_FOUND"}
    assert refusals == expected.get(name, hidden)
    await refused_by_the_first(roster, headers, together, found)


async def test_e3_in_an_archived_project_each_operation_is_answered_as_its_single_request(roster, pairs):
    own = (await roster.ok("owner", "POST", "/labels", {"name": "o", "personal": True}))["id"]
    await roster.ok("owner", "POST", f"/projects/{roster.project_id}/archive")
    headers = roster.gateway.headers(roster.ids["owner"])
    alone, found, together = await asked_both_ways(roster, pairs, headers, own)
    assert found == alone
    assert {name: errors[0][0] for name, (_, errors) in found.items() if errors} == dict.fromkeys(
        set(OPS) - OF_OWN, "PROJECT_ARCHIVED"
    )
    await refused_by_the_first(roster, headers, together, found)


async def test_e3_a_share_gives_what_it_gives_to_a_single_request(roster, pairs):
    for first, second in pairs["tasks"].values():
        for task in (first, second):
            path = f"/tasks/{task}/shares/{roster.id('guest')}"
            await roster.ask("owner", "PUT", path, {"role": "editor"})
    own = (await roster.ok("guest", "POST", "/labels", {"name": "o", "personal": True}))["id"]
    headers = roster.gateway.headers(roster.ids["guest"])
    alone, found, together = await asked_both_ways(roster, pairs, headers, own)
    assert found == alone
    assert found["update"] == (200, [])
    await refused_by_the_first(roster, headers, together, found)


async def test_e3_what_is_hidden_is_answered_as_what_is_absent(roster):
    """By the same bytes, but for the id that was asked for."""
    task = await roster.task()
    absent = str(uuid7())
    asked = [{"op": "update", "id": one, "patch": {"title": "b"}} for one in (task["id"], absent)]
    asked += [{"op": "delete", "id": one} for one in (task["key"], "PROJ-999999")]
    answer = await roster.ask("stranger", "POST", "/tasks/bulk", {"mode": "partial", "operations": asked})
    items = answer.json()["data"]
    assert [one["id"] for one in items] == [task["id"], absent, None, None]
    for first, second in (items[:2], items[2:]):
        assert {**first, "id": 0, "index": 0} | {"error": None} == {**second, "id": 0, "index": 0} | {"error": None}
        one, other = first["error"], second["error"]
        assert [one["code"], one["message"], one["field"], one["data"]] == [
            other["code"],
            other["message"],
            other["field"],
            other["data"],
        ]


@pytest.mark.parametrize(
    ("scopes", "terms", "code"),
    [(ALL, {"read_only": True}, "TOKEN_READ_ONLY"), (("tasks:read",), {}, "INSUFFICIENT_SCOPE")],
)
async def test_e3_a_token_that_may_do_nothing_of_it_starts_no_job(roster, scopes, terms, code):
    task = await roster.task()
    headers = roster.gateway.token_headers(roster.ids["owner"], *scopes, **terms)
    body = {"mode": "partial", "operations": [{"op": "update", "id": task["id"], "patch": {"title": "b"}}] * 201}
    answer = await roster.api.post("/api/v1/tasks/bulk", json=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, code)
    jobs = await roster.rows("SELECT count(*) FROM tasks.job WHERE created_by = :id", id=roster.ids["owner"])
    assert jobs == [(0,)]
