"""K1, H2: who is told of what, over the whole system, and that nobody is told of what they may not see."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import websockets
from testkit.waiting import eventually

NOBODY = "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c99"


@dataclass
class Team:
    """Ann's workspace, of which Bob is a member and Cem is not, with a project."""

    api: httpx2.AsyncClient
    ann: Any
    bob: Any
    cem: Any
    workspace: str = ""
    project: str = ""

    async def call(self, user: Any, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.api.request(method, f"/api/v1{path}", json=body, headers=user.headers)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def make(self, path: str, body: dict[str, Any]) -> str:
        return str((await self.call(self.ann, "POST", path, body))["data"]["id"])

    async def told(self, user: Any, query: str = "") -> list[str]:
        """Return the kinds of somebody's notifications, the latest first."""
        return [one["kind"] for one in (await self.call(user, "GET", f"/notifications{query}"))["data"]]

    async def will_be_told(self, user: Any, *kinds: str) -> None:
        async def are() -> bool:
            return await self.told(user) == list(kinds)

        await eventually(are)

    async def unread(self, user: Any) -> int:
        return int((await self.call(user, "GET", "/notifications/unread-count"))["data"]["unread_count"])


@pytest.fixture
async def team(api, confirmed, sign_up, let_in) -> Team:
    found = Team(api, await sign_up(), await confirmed(), await sign_up())
    found.workspace = await found.make("/workspaces", {"name": "Allotment"})
    found.project = await found.make("/projects", {"workspace_id": found.workspace, "name": "Beds"})
    await let_in(found.ann, found.workspace, found.bob)
    return found


async def test_k1_h2_ann_assigns_bob_mentions_cem_who_sees_nothing_and_completes(team, base_url):
    ann, bob, cem = team.ann, team.bob, team.cem
    url = base_url.replace("http", "ws", 1) + "/api/v1/ws?scopes=me"
    async with websockets.connect(url, additional_headers=bob.headers) as socket:
        task = await team.make("/tasks", {"title": "Dig", "project_id": team.project, "assignees": [bob.id]})
        body = f"@[user:{cem.id}] and @[user:{NOBODY}]: how deep?"
        said = await team.call(ann, "POST", f"/tasks/{task}/comments", {"body": body})
        (warning,) = said["meta"]["warnings"]
        assert (warning["code"], set(warning["user_ids"])) == ("MENTION_NO_ACCESS", {cem.id, NOBODY})
        comment = f"/tasks/{task}/comments/{said['data']['id']}"
        # Mentioned by an edit, and no second time by the next one.
        for words in ("how deep?", "how deep do you think?"):
            await team.call(ann, "PATCH", comment, {"body": f"@[user:{bob.id}] {words}"})
        await team.call(ann, "PATCH", f"/tasks/{task}", {"status": "done"})
        await team.will_be_told(bob, "completed", "mentioned", "commented", "assigned")
        pushed = []
        while len(pushed) < 4:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 30))
            if frame["type"] == "notification.created":
                pushed.append(frame["data"]["kind"])
        assert pushed == ["assigned", "commented", "mentioned", "completed"]
    assert await team.unread(bob) == 4
    completed, mentioned, commented, assigned = (await team.call(bob, "GET", "/notifications"))["data"]
    key = completed["task"]["key"]
    assert [one["text"] for one in (completed, mentioned, commented, assigned)] == [
        f"Somebody completed {key} Dig",
        f"Somebody mentioned you in {key} Dig",
        f"Somebody commented on {key} Dig",
        f"Somebody assigned {key} Dig to you",
    ]
    assert mentioned["excerpt"] == commented["excerpt"] == f"@[user:{bob.id}] how deep do you think?"
    assert {one["actor"]["id"] for one in (completed, mentioned, commented, assigned)} == {ann.id}
    (group,) = (await team.call(bob, "GET", "/notifications?group_by=task"))["data"]
    assert (group["task"]["id"], group["count"], group["unread_count"]) == (task, 4, 4)
    assert (await team.told(cem), await team.told(ann)) == ([], [])
    await team.call(bob, "POST", f"/tasks/{task}/comments", {"body": "Two spades."})
    await team.will_be_told(ann, "commented")
    answer = await team.call(bob, "POST", "/notifications/read-all", {"up_to": mentioned["seq"]})
    assert answer["data"] == {"changed": 3, "unread_count": 1}
    await team.call(ann, "DELETE", comment)

    async def words_are_gone() -> bool:
        shown = (await team.call(bob, "GET", "/notifications"))["data"]
        return {one["excerpt"] for one in shown} == {None}

    await eventually(words_are_gone)
    assert (await team.told(cem), await team.unread(cem)) == ([], 0)


async def test_k1_who_loses_access_is_shown_nothing_and_counted_nothing_until_it_is_back(team):
    ann, bob = team.ann, team.bob
    tasks = [
        await team.make("/tasks", {"title": title, "project_id": team.project, "assignees": [bob.id]})
        for title in ("Dig", "Sow")
    ]
    await team.will_be_told(bob, "assigned", "assigned")
    (one, _) = (await team.call(bob, "GET", "/notifications"))["data"]

    async def sees(count: int) -> None:
        async def is_so() -> bool:
            listed = await team.call(bob, "GET", "/notifications")
            return (len(listed["data"]), listed["meta"]["unread_count"], await team.unread(bob)) == (count,) * 3

        await eventually(is_so)
        read = await team.api.get(f"/api/v1/notifications/{one['id']}", headers=bob.headers)
        assert read.status_code == (404 if count == 0 else 200)

    await team.call(ann, "PATCH", f"/projects/{team.project}", {"visibility": "private"})
    await sees(0)
    # Of what happens meanwhile nothing is told, and nothing is told of it later.
    await team.call(ann, "PATCH", f"/tasks/{tasks[0]}", {"title": "Dig deep"})
    await team.call(ann, "PATCH", f"/projects/{team.project}", {"visibility": "workspace"})
    await sees(2)
    await team.call(ann, "DELETE", f"/workspaces/{team.workspace}/members/{bob.id}")
    await sees(0)
