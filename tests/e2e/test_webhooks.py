"""A webhook hears what happens, signed, once for each event, and catches up on what it missed."""

import asyncio
import json
import os

import pytest
from standardwebhooks.webhooks import Webhook
from testkit.receivers import listening, read_request
from testkit.waiting import eventually

PATH = "/api/v1/webhooks"


class Receiver:
    def __init__(self):
        self.requests = []
        self.status = 204
        self.port = 0

    async def serve(self, reader, writer):
        _, headers, body = await read_request(reader)
        if self.status < 300:
            self.requests.append((headers, body))
        writer.write(f"HTTP/1.1 {self.status} Said\r\ncontent-length: 0\r\n\r\n".encode())

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/taskloom"

    @property
    def ids(self):
        return [headers["webhook-id"] for headers, _ in self.requests]

    def events(self, kind):
        told = [json.loads(body)["data"] for _, body in self.requests]
        return [one for one in told if one["type"] == kind]


@pytest.fixture
async def receiver():
    if "TASKLOOM_URL" in os.environ:
        pytest.skip("ONLY WITH A COPY OF ITS OWN: what is installed sends nothing to this machine")
    found = Receiver()
    async with listening(found.serve) as port:
        found.port = port
        yield found


@pytest.fixture
async def ann(sign_up):
    return await sign_up()


@pytest.fixture
async def webhook(api, ann, receiver):
    workspace = (await api.get("/api/v1/workspaces", headers=ann.headers)).json()["data"][0]
    body = {"url": receiver.url, "scope": {"type": "workspace", "id": workspace["id"]}, "events": ["task.*"]}

    async def made():
        # Memberships come to where webhooks are by events.
        answer = await api.post(PATH, json=body, headers=ann.headers)
        return answer.json()["data"] if answer.status_code == 201 else None

    return await eventually(made)


async def test_k6_a_webhook_hears_what_happens_once_and_signed(api, ann, webhook, receiver):
    created = await api.post("/api/v1/tasks", json={"title": "Buy milk"}, headers=ann.headers)
    task = created.json()["data"]

    async def heard():
        return receiver.events("task.created")

    [event] = await eventually(heard)
    assert (event["subject"], event["data"], event["version"]) == (task["id"], task, 1)
    assert event["origin_request_id"] == created.headers["x-request-id"]
    for headers, body in receiver.requests:
        assert Webhook(webhook["secret"]).verify(body, headers)["data"]["event_id"] == headers["webhook-id"]
    history = await api.get(f"/api/v1/tasks/{task['id']}/history", headers=ann.headers)
    assert event["event_id"] in {one["event_id"] for one in history.json()["data"]}


async def test_k11_what_was_missed_is_replayed_under_its_ids(api, ann, webhook, receiver):
    receiver.status = 503
    first = await api.post("/api/v1/tasks", json={"title": "Missed"}, headers=ann.headers)
    start = first.headers["x-cursor"]
    tasks = [await api.post("/api/v1/tasks", json={"title": f"No {n}"}, headers=ann.headers) for n in range(3)]
    path = f"{PATH}/{webhook['id']}"

    async def refused():
        listed = await api.get(f"{path}/deliveries?event=task.created&state=pending", headers=ann.headers)
        return len([one for one in listed.json()["data"] if one["status"] == 503]) == 4

    await eventually(refused)
    receiver.status = 204
    answer = await api.post(f"{path}/replay", json={"from_cursor": start}, headers=ann.headers)
    assert answer.status_code == 202
    assert answer.json()["data"]["count"] >= 3

    async def replayed():
        subjects = {one["subject"] for one in receiver.events("task.created")}
        return subjects >= {one.json()["data"]["id"] for one in tasks}

    await eventually(replayed)


async def test_r61_gone_ends_it_and_its_owner_is_told(api, ann, webhook, receiver):
    receiver.status = 410
    await api.post("/api/v1/tasks", json={"title": "Gone"}, headers=ann.headers)

    async def ended():
        found = (await api.get(f"{PATH}/{webhook['id']}", headers=ann.headers)).json()["data"]
        return found if not found["enabled"] else None

    assert (await eventually(ended))["disabled_reason"] == "gone"


async def test_k11_a_test_is_sent_and_logged(api, ann, webhook, receiver):
    made = (await api.post(f"{PATH}/{webhook['id']}/test", headers=ann.headers)).json()["data"]

    async def delivered():
        found = await api.get(f"{PATH}/{webhook['id']}/deliveries/{made['id']}", headers=ann.headers)
        return found.json()["data"] if found.json()["data"]["state"] == "delivered" else None

    found = await eventually(delivered)
    assert [one["status"] for one in found["attempts"]] == [204]
    assert receiver.ids.count(made["event_id"]) == 1


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data/", "http://user:x@127.0.0.1/", "http://0x7f000001/", "ftp://127.0.0.1/"],
)
async def test_r62_what_leads_nowhere_good_is_refused(api, ann, url):
    answer = await api.post(PATH, json={"url": url, "scope": {"type": "user"}}, headers=ann.headers)
    assert answer.status_code == 422
    assert [(one["code"], one["field"]) for one in answer.json()["errors"]] == [("URL_NOT_ALLOWED", "url")]


async def test_k6_fifty_tasks_at_once_are_heard_once_each(api, ann, webhook, receiver):
    answers = await asyncio.gather(
        *(api.post("/api/v1/tasks", json={"title": f"No {n}"}, headers=ann.headers) for n in range(50))
    )
    made = {one.json()["data"]["id"] for one in answers if one.status_code == 201}

    async def heard():
        return len(receiver.events("task.created")) >= len(made)

    await eventually(heard)
    assert {one["subject"] for one in receiver.events("task.created")} == made
    assert len(receiver.ids) == len(set(receiver.ids))
