"""Who comes back after something was deleted for good is told the same by the feed, a WebSocket and a stream (J4)."""

import pytest
from testkit.readers import FeedReader, SocketReader, StreamReader
from testkit.waiting import eventually

SECRET = "secret"
OWN = ("cursor",)


class Reading:
    """All that somebody is told who comes with a cursor, by each way."""

    def __init__(self, base_url, user, cursor):
        asked = {"base_url": base_url, "headers": lambda: user.headers, "cursor": cursor}
        self.feed = FeedReader(**asked)
        self.live = {"websocket": SocketReader(**asked), "sse": StreamReader(**asked)}
        self._early = SocketReader(**asked)

    async def until(self, api, request_id):
        """Read on to what a request has made, once all before it is the past, on streams, too."""
        for one in (self._early, *self.live.values()):
            async with one.reading():
                await eventually(lambda one=one: self._has(one, request_id), seconds=60)
        await self.feed.read_on(api)
        assert await self._has(self.feed, request_id)

    async def _has(self, reader, request_id):
        return any(event["origin_request_id"] == request_id for event in reader.events)

    def told(self):
        """Return what each tells but for the reader's positions, and personal events, which the feed has not."""
        every = {"feed": self.feed, **self.live}
        return {
            name: [
                {key: value for key, value in event.items() if key not in OWN}
                for event in one.events
                if event["workspace_id"] is not None
            ]
            for name, one in every.items()
        }


@pytest.fixture
def call(api):
    """Asks in somebody's name for what is not refused."""

    async def call(user, method, path, body=None, **options):
        answer = await api.request(method, f"/api/v1{path}", json=body, headers=user.headers, **options)
        assert answer.is_success, answer.text
        return answer

    return call


@pytest.fixture
def made(call):
    """Makes something, and returns it."""

    async def made(user, path, **body):
        return (await call(user, "POST", path, body)).json()["data"]

    return made


async def test_j4_a_task_with_all_that_hung_on_it(api, base_url, sign_up, call, made):
    user = await sign_up()
    stays = await made(user, "/tasks", title="Sow")
    cursor = (await call(user, "PATCH", f"/tasks/{stays['id']}", {"title": "Sow beans"})).headers["x-cursor"]
    task = await made(user, "/tasks", title=SECRET)
    below = await made(user, "/tasks", title=SECRET, parent_id=task["id"])
    await call(user, "PATCH", f"/tasks/{task['id']}", {"description": SECRET, "title": "still a secret"})
    await call(user, "PATCH", f"/tasks/{task['id']}", {"description": None, "title": "Dig"})
    await call(user, "PATCH", f"/tasks/{below['id']}", {"title": "Dig deep"})
    comment = await made(user, f"/tasks/{task['id']}/comments", body=SECRET)
    await call(user, "PATCH", f"/tasks/{task['id']}/comments/{comment['id']}", {"body": "another secret"})
    await made(user, f"/tasks/{task['id']}/checklist", text=SECRET)
    await made(user, f"/tasks/{task['id']}/relations", task_id=stays["id"], type="blocks")
    file = {"file": (f"{SECRET}.txt", b"Beds and paths")}
    attached = await api.post(f"/api/v1/tasks/{task['id']}/attachments", files=file, headers=user.headers)
    assert attached.status_code == 201
    await call(user, "DELETE", f"/tasks/{task['id']}?permanent=true")
    end = (await call(user, "POST", "/tasks", {"title": "end"})).headers["x-request-id"]
    reading = Reading(base_url, user, cursor)
    await reading.until(api, end)
    told = reading.told()
    assert told["websocket"] == told["feed"]
    assert told["sse"] == told["feed"]
    assert SECRET not in str(told)
    gone = {task["id"], below["id"]}
    assert [one["type"] for one in told["feed"] if one["task_id"] in gone] == ["task.purged"] * 2


async def test_j4_a_project_with_all_that_was_in_it(api, base_url, sign_up, call, made):
    user = await sign_up()
    stays = await made(user, "/tasks", title="Sow")
    cursor = (await call(user, "PATCH", f"/tasks/{stays['id']}", {"title": "Sow beans"})).headers["x-cursor"]
    project = await made(user, "/projects", name=SECRET, workspace_id=stays["workspace_id"])
    await made(user, f"/projects/{project['id']}/statuses", name=SECRET, category="in_progress")
    task = await made(user, "/tasks", title=SECRET, project_id=project["id"])
    await made(user, f"/tasks/{task['id']}/comments", body=SECRET)
    await call(user, "DELETE", f"/projects/{project['id']}?permanent=true")
    end = (await call(user, "POST", "/tasks", {"title": "end"})).headers["x-request-id"]
    reading = Reading(base_url, user, cursor)
    await reading.until(api, end)
    told = reading.told()
    about = {name: [one for one in events if one["project_id"] == project["id"]] for name, events in told.items()}
    for name, events in about.items():
        assert [(one["type"], one.get("removed")) for one in events] == [("project.purged", {"reason": "purged"})], name
    assert told["websocket"] == told["sse"]
    # The feed tells what the project was until its rows are gone, which takes some minutes.
    assert SECRET not in str(told["websocket"])
