"""A notification on its way to a mailbox, and the one click that stops the next one, through the gateway alone."""

import re
from urllib.parse import urlsplit

import httpx2
import pytest
from testkit.waiting import eventually

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PREFERENCES = "/api/v1/users/me/notification-preferences"


@pytest.fixture
async def pair(api, confirmed, let_in):
    """Ann, the owner of a workspace, Bob, who is a member, and the workspace's id."""
    ann, bob = await confirmed(), await confirmed()
    made = await api.post("/api/v1/workspaces", json={"name": "Team"}, headers=ann.headers)
    workspace = made.json()["data"]["id"]
    await let_in(ann, workspace, bob)
    return ann, bob, workspace


@pytest.fixture
def assign(api, pair):
    """Has Ann assign a new task to Bob."""
    ann, bob, workspace = pair

    async def assign(title):
        project = await api.post(
            "/api/v1/projects", json={"name": title, "workspace_id": workspace}, headers=ann.headers
        )
        body = {"title": title, "project_id": project.json()["data"]["id"], "assignees": [bob.id]}
        made = await api.post("/api/v1/tasks", json=body, headers=ann.headers)
        assert made.status_code == 201
        return made.json()["data"]

    return assign


@pytest.fixture
def mails_about(pair, mails_to):
    _, bob, _ = pair

    async def mails_about(title):
        return [mail for mail in await mails_to(bob.email) if title in mail["subject"]]

    return mails_about


async def test_k3_an_assignment_is_mailed_once_and_one_click_stops_the_next(api, pair, assign, mails_about, base_url):
    _, bob, _ = pair
    task = await assign("Buy oats")

    async def mailed():
        return await mails_about("Buy oats")

    (mail,) = await eventually(mailed)
    assert task["key"] in mail["subject"]
    assert "Buy oats" in mail["text"]
    headers = mail["headers"]
    assert re.fullmatch(rf"<[0-9a-f-]{{36}}\.{bob.id}@[a-z.]+>", headers["message-id"])
    assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    link = urlsplit(re.fullmatch(r"<(.+)>", headers["list-unsubscribe"])[1])
    assert link.path == "/api/v1/unsubscribe"

    async with httpx2.AsyncClient(base_url=base_url, timeout=60, trust_env=False) as program:
        page = await program.get(f"{link.path}?{link.query}")
        assert page.headers["content-type"].startswith("text/html")
        assert (await program.post(f"{link.path}?{link.query}", data=ONE_CLICK)).status_code == 200
    lines = (await api.get(PREFERENCES, headers=bob.headers)).json()["data"]["preferences"]
    assert [(one["kind"], one["channel"], one["mode"]) for one in lines] == [("assigned", "email", "off")]

    await assign("Buy rye")

    async def in_the_inbox():
        found = (await api.get("/api/v1/notifications", headers=bob.headers)).json()["data"]
        return [one for one in found if "Buy rye" in one["text"]]

    (told,) = await eventually(in_the_inbox)
    assert told["kind"] == "assigned"
    # A mail that comes for certain, and would come after the other.
    await api.put(PREFERENCES, json={"preferences": []}, headers=bob.headers)
    await assign("Buy barley")

    async def mailed_again():
        return await mails_about("Buy barley")

    await eventually(mailed_again)
    assert await mails_about("Buy rye") == []
    assert len(await mails_about("Buy oats")) == 1
