"""F6: whoever is removed from a workspace is shown nothing of it any more, on no surface, within a second."""

import asyncio
import json
import re
import time
from contextlib import suppress

import pytest
import websockets
from testkit.waiting import eventually

# Of accounts, of the instance, or of nothing: no workspace is shown by them.
OTHERWISE = (
    "/.well-known/jwks.json",
    "/api/v1/admin/",
    "/api/v1/auth/",
    # A position is needed, and tells once that the workspace is gone; and what streams is looked at as a socket is.
    "/api/v1/changes",
    "/api/v1/stream",
    # The devices of one's own, and a page that says nothing of anybody.
    "/api/v1/devices",
    "/api/v1/unsubscribe",
    # What developers look at: messages as they were once sent to oneself.
    "/api/v1/recorded-messages",
    "/api/v1/meta/",
    "/api/v1/service-accounts",
    "/api/v1/status",
    "/api/v1/users/me",
)
IN_PROJECT = {
    "/api/v1/tasks/by-external/{source}/{external_id}": (
        "/api/v1/tasks/by-external/{source}/{external_id}?project_id={project_id}"
    ),
    "/api/v1/search": "/api/v1/search?q=Rest",
    "/api/v1/tasks/aggregate": "/api/v1/tasks/aggregate?group_by=project",
    "/api/v1/tasks/facets": "/api/v1/tasks/facets?by=project",
}
SECONDS = 1.0


@pytest.fixture(scope="module")
def copy_settings():
    """One who sees everything, and looks at it twice, asks for more than a user may in a minute."""
    return {"GATEWAY_RATE_LIMIT_PER_MINUTE": "1000"}


class Team:
    """Ann's workspace with Bob in it, and one of everything that it can have; `names` are the ids for paths."""

    def __init__(self, api, ann, bob):
        self.api, self.ann, self.bob = api, ann, bob
        self.names: dict[str, str] = {"user_id": bob.id}

    async def make(self, method, path, body=None, **options):
        path = path.format(**self.names)
        answer = await self.api.request(method, path, json=body, headers=self.ann.headers, **options)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json()["data"] if answer.content else None

    async def furnish(self, let_in):
        made = await self.make("POST", "/api/v1/workspaces", {"name": "Choir"})
        self.names["workspace_id"] = made["id"]
        self.names["invitation_id"] = await let_in(self.ann, made["id"], self.bob)
        of_workspace = {"workspace_id": made["id"]}
        for name, path in (("label_id", "labels"), ("category_id", "categories"), ("project_id", "projects")):
            self.names[name] = (await self.make("POST", f"/api/v1/{path}", {"name": "Alto", **of_workspace}))["id"]
        status = {"name": "Rehearsed", "category": "in_progress"}
        self.names["status_id"] = (await self.make("POST", "/api/v1/projects/{project_id}/statuses", status))["id"]
        await self.furnish_task()

    async def furnish_task(self):
        body = {"title": "Sing", "project_id": self.names["project_id"], "external_source": "x", "external_id": "1"}
        wanted = {**body, "labels": [self.names["label_id"]], "assignees": [self.bob.id]}
        self.names["task_id"] = (await self.make("POST", "/api/v1/tasks", wanted))["id"]
        self.names |= {"source": "x", "external_id": "1"}
        comment = await self.make("POST", "/api/v1/tasks/{task_id}/comments", {"body": "la"})
        self.names["comment_id"] = comment["id"]
        item = await self.make("POST", "/api/v1/tasks/{task_id}/checklist", {"text": "la"})
        self.names["item_id"] = item["id"]
        await self.make("PUT", "/api/v1/tasks/{task_id}/metadata/notes?shared=true", {"a": 1})
        self.names["namespace"] = "notes"
        other = await self.make("POST", "/api/v1/tasks", {**body, "title": "Rest", "external_id": "2"})
        between = {"type": "blocks", "task_id": other["id"]}
        self.names["relation_id"] = (await self.make("POST", "/api/v1/tasks/{task_id}/relations", between))["id"]
        await self.make("PUT", "/api/v1/tasks/{task_id}/shares/{user_id}", {"role": "viewer"})
        path = f"/api/v1/tasks/{self.names['task_id']}/attachments"
        file = await self.api.post(path, files={"file": ("a.txt", b"la")}, headers=self.ann.headers)
        self.names["attachment_id"] = file.json()["data"]["id"]
        star = await self.api.put(f"/api/v1/tasks/{self.names['task_id']}/star", headers=self.bob.headers)
        assert star.status_code < 300
        await self.furnish_many()

    async def furnish_many(self):
        of_workspace = {"workspace_id": self.names["workspace_id"]}
        saved = {**of_workspace, "name": "La", "scope": "shared", "filter": "status = todo"}
        self.names["filter_id"] = (await self.make("POST", "/api/v1/filters", saved))["id"]
        export = await self.api.post(
            "/api/v1/exports", json={**of_workspace, "format": "csv"}, headers=self.ann.headers
        )
        self.names["export_id"] = export.json()["data"]["id"]
        many = [{"op": "update", "id": self.names["task_id"], "patch": {"priority": "low"}}] * 201
        body = {"mode": "partial", "operations": many}
        job = await self.api.post("/api/v1/tasks/bulk", json=body, headers=self.bob.headers)
        self.names["job_id"] = job.json()["data"]["id"]

        await self.furnish_reach()

    async def furnish_reach(self):
        """Have what tells others of the workspace, and what tells Bob."""
        scope = {"type": "workspace", "id": self.names["workspace_id"]}
        webhook = await self.make("POST", "/api/v1/webhooks", {"url": "http://127.0.0.1:9/", "scope": scope})
        self.names["webhook_id"] = webhook["id"]
        delivery = await self.make("POST", "/api/v1/webhooks/{webhook_id}/test")
        self.names["delivery_id"] = delivery["id"]
        chat = {"name": "Choir", "kind": "generic", "scope": scope, "url": "http://127.0.0.1:9/", "events": ["task.*"]}
        self.names["connection_id"] = (await self.make("POST", "/api/v1/chat-connections", chat))["id"]

        async def told():
            return (await self.api.get("/api/v1/notifications", headers=self.bob.headers)).json()["data"]

        self.names["notification_id"] = (await eventually(told))[0]["id"]

    def secrets(self):
        """Everything that tells of the workspace: the ids of what is in it."""
        return [value for name, value in self.names.items() if name.endswith("_id") and len(value) == 36][1:]


async def surfaces(api):
    """Return every read that there is, but of what is named in OTHERWISE."""
    paths = (await api.get("/openapi.json")).json()["paths"]
    return [IN_PROJECT.get(path, path) for path, item in paths.items() if "get" in item and not is_otherwise(path)]


def is_otherwise(path):
    return path.startswith(OTHERWISE)


async def shows(team, path, *, narrowed=False):
    """Tell whether a read shows Bob something of the workspace; a list also when it is `narrowed` to it."""
    names = ("workspace_id", "project_id") if narrowed and "{" not in path else ()
    for query in ("", *(f"?{name}={team.names[name]}" for name in names)):
        answer = await team.api.get(path.format(**team.names) + query, headers=team.bob.headers)
        # Not 429: what is refused for other reasons proves nothing.
        assert answer.status_code in {200, 403, 404, 422}, answer.text
        asked = set(re.findall(r"[0-9a-f-]{36}", query))
        tells = "{" in path or any(one in answer.text for one in team.secrets() if one not in asked)
        if answer.status_code == 200 and tells:
            return True
    return False


@pytest.fixture
async def team(api, sign_up, confirmed, let_in):
    made = Team(api, await sign_up(), await confirmed())
    await made.furnish(let_in)
    return made


async def test_f6_no_surface_shows_a_removed_member_anything_within_a_second(api, team, base_url):
    paths = await surfaces(api)
    for path in paths:
        missing = set(re.findall(r"{(\w+)}", path)) - team.names.keys()
        assert not missing, f"{path} is new: furnish the team with {missing}"
    hidden_before = [path for path in paths if not await shows(team, path)]
    # What a member may not, or has nothing of; the link of an invitation is looked at without its token.
    assert sorted(hidden_before) == [
        "/api/v1/chat-connections",
        "/api/v1/chat-connections/{connection_id}",
        "/api/v1/exports/{export_id}",
        "/api/v1/exports/{export_id}/content",
        "/api/v1/invitations/link",
        "/api/v1/notifications/unread-count",
        "/api/v1/trash",
        "/api/v1/webhooks",
        "/api/v1/webhooks/{webhook_id}",
        "/api/v1/webhooks/{webhook_id}/deliveries",
        "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
        "/api/v1/workspaces/{workspace_id}/audit",
        "/api/v1/workspaces/{workspace_id}/invitations",
        "/api/v1/workspaces/{workspace_id}/invitations/{invitation_id}",
    ]
    address = base_url.replace("http", "ws", 1) + "/api/v1/ws"
    async with websockets.connect(address, additional_headers=team.bob.headers) as socket:
        cursor = json.loads(await socket.recv())["cursor"]
        await team.make("PATCH", "/api/v1/tasks/{task_id}", {"title": "seen"})
        await team.make("DELETE", "/api/v1/workspaces/{workspace_id}/members/{user_id}")
        removed_at = time.monotonic()
        await revoked(socket, team.names["workspace_id"], SECONDS)
        await hidden(team, paths, removed_at + SECONDS)
        await team.make("PATCH", "/api/v1/tasks/{task_id}", {"title": "not seen"})
        assert await heard(socket) == []
    async with websockets.connect(f"{address}?cursor={cursor}", additional_headers=team.bob.headers) as socket:
        frames = [json.loads(await socket.recv()), *await heard(socket)]
        assert [frame["type"] for frame in frames] == ["ready", "member.removed", "subscription_revoked"]
        assert (frames[1]["removed"], frames[1]["data"], frames[1]["changes"]) == ({"reason": "access_lost"}, None, [])
    task = await team.make("GET", "/api/v1/tasks/{task_id}")
    assert (task["assignees"], task["assigned_to"]) == ([], None)


async def test_f6_who_loses_a_task_by_its_move_hears_that_it_is_gone_and_not_where(team, base_url):
    where = {"name": "Vault", "workspace_id": team.names["workspace_id"], "visibility": "private"}
    vault = await team.make("POST", "/api/v1/projects", where)
    task = await team.make("POST", "/api/v1/tasks", {"title": "Plan", "project_id": team.names["project_id"]})
    address = base_url.replace("http", "ws", 1) + "/api/v1/ws"
    async with websockets.connect(address, additional_headers=team.bob.headers) as socket:
        cursor = json.loads(await socket.recv())["cursor"]
        await team.make("POST", f"/api/v1/tasks/{task['id']}/move", {"project_id": vault["id"]})
        live = await moved(socket)
    async with websockets.connect(f"{address}?cursor={cursor}", additional_headers=team.bob.headers) as socket:
        later = await moved(socket)
    for frame in (live, later):
        assert (frame["subject"], frame["project_id"]) == (task["id"], task["project_id"])
        assert (frame["data"], frame["changes"], frame["removed"]) == (None, [], {"reason": "access_lost"})
        assert vault["id"] not in json.dumps(frame)


async def moved(socket):
    """Wait until a socket tells of a move, and return the frame."""
    async with asyncio.timeout(5):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == "task.moved":
                return frame


async def heard(socket):
    """Return the frames that come until there was none for half a second."""
    frames = []
    with suppress(TimeoutError):
        while True:
            frames.append(json.loads(await asyncio.wait_for(socket.recv(), 0.5)))
    return frames


async def revoked(socket, workspace_id, seconds):
    """Wait until a socket says that the workspace is over for its reader."""
    async with asyncio.timeout(seconds):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == "subscription_revoked":
                assert frame["workspace_id"] == workspace_id
                return


async def hidden(team, paths, deadline):
    """Look at everything until nothing shows anything; what does so after the deadline is named."""
    showing = list(paths)
    while showing:
        looked_at = time.monotonic()
        showing = [path for path in showing if await shows(team, path, narrowed=True)]
        assert not showing or looked_at < deadline, showing
