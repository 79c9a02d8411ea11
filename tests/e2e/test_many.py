"""Finding anything and changing many, through the whole system."""

import asyncio
import json

import httpx2
import websockets

BULK = "/api/v1/tasks/bulk"
SEARCH = "/api/v1/tasks/search"


def creating(count, **fields):
    return {
        "mode": "atomic",
        "operations": [
            {"op": "create", "temp_id": f"t{place}", "data": {"title": f"Task {place}", **fields}}
            for place in range(count)
        ],
    }


async def listed(api, user, **parameters):
    answer = await api.get("/api/v1/tasks", params=parameters, headers=user.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids_of(api, user, **parameters):
    return [task["id"] for task in (await listed(api, user, **parameters))["data"]]


async def test_e9_many_are_made_at_once_and_cost_what_they_are(api, sign_up):
    user = await sign_up()
    made = await api.post(BULK, json=creating(60), headers=user.headers)
    assert made.status_code == 200, made.text
    assert made.headers["x-ratelimit-cost"] == "4"
    remaining = int(made.headers["x-ratelimit-remaining"])
    meta = made.json()["meta"]
    assert (meta["total"], meta["succeeded"], meta["failed"], len(meta["temp_ids"])) == (60, 60, 0, 60)
    page = await api.get("/api/v1/tasks", params={"per_page": 100}, headers=user.headers)
    assert (page.json()["meta"]["total"], len(page.json()["data"])) == (60, 60)
    assert page.headers["x-ratelimit-cost"] == "1"
    assert int(page.headers["x-ratelimit-remaining"]) == remaining - 1
    dry = await api.post(BULK, json={**creating(200), "dry_run": True}, headers=user.headers)
    assert (dry.status_code, dry.headers["x-ratelimit-cost"]) == (200, "9")
    assert (await listed(api, user))["meta"]["total"] == 60


async def test_e9_what_is_more_than_may_be_asked_for_is_refused_before_anything_runs(api, sign_up):
    user = await sign_up()
    body = {"filter": "status = todo", "patch": {"priority": "low"}, "expected_count": 10_001}
    refused = await api.post(f"{BULK}/by-filter", json=body, headers=user.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "COST_ABOVE_LIMIT")
    assert refused.json()["data"] == {"cost": 402, "limit": 401}
    assert refused.headers["x-ratelimit-cost"] == "1"


async def test_d1_three_doors_lead_to_the_same_tasks_in_the_same_order(api, sign_up):
    user = await sign_up()
    levels = ("none", "low", "medium", "high", "urgent")
    operations = [
        {"op": "create", "data": {"title": f"Task {place}", "priority": levels[place % 5], "due": f"2026-11-{day:02}"}}
        for place, day in enumerate(range(1, 21))
    ]
    made = await api.post(BULK, json={"mode": "atomic", "operations": operations}, headers=user.headers)
    assert made.status_code == 200, made.text
    order = {"sort": "-priority,due"}
    flat = await ids_of(api, user, priority="high,urgent", due_before="2026-11-15", **order)
    text = "priority in (high, urgent) and due < 2026-11-15"
    tree = {
        "and": [
            {"field": "priority", "op": "in", "value": ["high", "urgent"]},
            {"field": "due", "op": "<", "value": "2026-11-15"},
        ]
    }
    by_text = await ids_of(api, user, filter=text, **order)
    by_tree = await api.post(SEARCH, json={"filter": tree, **order}, headers=user.headers)
    assert by_tree.status_code == 200, by_tree.text
    made_ids = [one["id"] for one in made.json()["data"]]
    urgent, high = ([made_ids[place] for place in range(first, 14, 5)] for first in (4, 3))
    assert flat == by_text == [task["id"] for task in by_tree.json()["data"]] == [*urgent, *high]
    assert by_tree.json()["meta"]["resolved_filter"] == tree


async def test_d2_relative_days_are_of_the_zone_that_the_request_names(api, base_url, sign_up):
    user = await sign_up()
    await api.post("/api/v1/tasks", json={"title": "a"}, headers=user.headers)
    days = {}
    # Between the two it is another day at every time.
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        answer = await api.get(
            "/api/v1/tasks", params={"filter": "due <= today()"}, headers={**user.headers, "x-timezone": zone}
        )
        assert (answer.status_code, answer.json()["meta"]["timezone"]) == (200, zone)
        days[zone] = answer.json()["meta"]["resolved_filter"]["value"]
    assert days["Pacific/Kiritimati"] > days["Etc/GMT+12"]
    unknown = await api.get("/api/v1/tasks", headers={**user.headers, "x-timezone": "Mars/Olympus"})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "UNKNOWN_TIMEZONE")
    # What reaches no operation is in no operation's document.
    async with httpx2.AsyncClient(base_url=base_url, timeout=60) as plain:
        impossible = await plain.get("/api/v1/tasks", headers={**user.headers, "x-timezone": "Mars; Olympus"})
    assert (impossible.status_code, impossible.json()["errors"][0]["code"]) == (422, "UNKNOWN_TIMEZONE")


async def test_d5_what_was_just_written_is_found(api, sign_up):
    user, other = await sign_up(), await sign_up()
    body = {"title": "Order new curtains", "description": "for the <b>veranda</b>"}
    task = (await api.post("/api/v1/tasks", json=body, headers=user.headers)).json()["data"]
    for words in ("curtains", "veranda", "order curtain", "curtians", task["key"]):
        assert await found(api, user, words) == [task["id"]], words
    comment = {"body": "Ask Zebulon first."}
    await api.post(f"/api/v1/tasks/{task['id']}/comments", json=comment, headers=user.headers)
    everywhere = (await api.get("/api/v1/search", params={"q": "zebulon"}, headers=user.headers)).json()["data"]
    assert "<mark>Zebulon</mark>" in json.dumps(everywhere)
    assert await found(api, other, "curtains") == []


async def found(api, user, words):
    """Return the ids of tasks that are found everywhere."""
    answer = await api.get("/api/v1/search", params={"q": words, "types": "task"}, headers=user.headers)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["data"]["tasks"]]


async def test_e8_more_than_two_hundred_are_a_job_that_is_watched_to_its_end(api, base_url, sign_up):
    user = await sign_up()
    address = base_url.replace("http", "ws", 1) + "/api/v1/ws"
    async with websockets.connect(address, additional_headers=user.headers) as socket:
        started = await api.post(BULK, json={**creating(250), "mode": "partial"}, headers=user.headers)
        assert started.status_code == 202, started.text
        assert started.headers["x-ratelimit-cost"] == "11"
        job = started.json()["data"]
        assert started.headers["location"] == f"/api/v1/jobs/{job['id']}"
        async with asyncio.timeout(30):
            while (await last_of_job(socket, job["id"]))["status"] not in ("succeeded", "failed"):
                pass
    ended = (await api.get(started.headers["location"], headers=user.headers)).json()["data"]
    assert (ended["status"], ended["total"], ended["done"], ended["failed"]) == ("succeeded", 250, 250, 0)
    assert (await listed(api, user))["meta"]["total"] == 250
    items, cursor = [], ""
    while cursor is not None:
        page = await api.get(
            f"/api/v1/jobs/{job['id']}/results", params={"cursor": cursor, "per_page": 100}, headers=user.headers
        )
        items += page.json()["data"]
        cursor = page.json()["meta"]["next_cursor"]
    assert [item["index"] for item in items] == list(range(250))
    assert {item["status"] for item in items} == {201}


async def last_of_job(socket, job_id):
    """Return what the next frame of the job says of it."""
    while True:
        frame = json.loads(await socket.recv())
        if frame["type"].startswith("job.") and frame["subject"] == job_id:
            return frame["data"]
