"""K4: what happens in a workspace is posted to its chat, over the whole system; in development it is kept instead."""

import os

import pytest
from testkit.waiting import eventually

SUBSCRIPTION = {
    "endpoint": "https://push.example.com/send/none",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


@pytest.fixture(autouse=True)
def _records():
    if "TASKLOOM_URL" in os.environ:
        pytest.skip("ONLY WITH COPIES OF ITS OWN: elsewhere messages are sent, not kept")


async def test_k4_a_task_is_told_once_in_the_chat_of_its_workspace(api, sign_up):
    ann = await sign_up()

    async def call(method, path, body=None, status=201):
        answer = await api.request(method, f"/api/v1{path}", json=body, headers=ann.headers)
        assert answer.status_code == status, answer.text
        return answer.json()["data"]

    workspace = (await call("POST", "/workspaces", {"name": "Allotment"}))["id"]
    scope = {"type": "workspace", "id": workspace}
    chat = {"name": "Shed", "kind": "slack", "scope": scope, "url": "https://hooks.slack.com/services/T0/B0/none"}

    async def connected():
        # That there is such a workspace is known to notifications a moment later.
        made = await api.post("/api/v1/chat-connections", json=chat, headers=ann.headers)
        return made.json()["data"] if made.status_code == 201 else None

    connection = await eventually(connected)
    assert (await call("POST", f"/chat-connections/{connection['id']}/test", status=200))["delivered"] is True
    await call("GET", "/devices/vapid-key", status=200)
    await call("POST", "/devices", {"kind": "webpush", "name": "Firefox", "subscription": SUBSCRIPTION})
    project = (await call("POST", "/projects", {"name": "Beds", "workspace_id": workspace}))["id"]
    task = await call("POST", "/tasks", {"title": "Water <!channel> & weed", "project_id": project})

    async def kept():
        found = await call("GET", "/recorded-messages?channel=chat", status=200)
        return [one["content"]["body"] for one in found if task["key"] in one["content"]["body"]["text"]]

    (posted,) = await eventually(kept)
    assert f"created {task['key']} Water &lt;!channel&gt; &amp; weed" in posted["text"]
    assert f"/api/v1/tasks/{task['id']}|Open>" in posted["blocks"][1]["elements"][0]["text"]
