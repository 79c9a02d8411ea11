"""A workspace whose changes come over the broker, are followed, and are in its members' inboxes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import pytest
from chassis.db.engine import Database
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from notifications_service.following.runner import FollowerRunner
from notifications_service.worker import FOLLOWERS
from testkit.contract import contract_client
from testkit.waiting import eventually

PATH = "/api/v1/notifications"
DONE = "SELECT seq FROM notifications.follower_position WHERE follower = 'activity' AND stream_id = :s"


@pytest.fixture
async def api(service, contract) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to the service as the gateway does; every answer is held against the contract."""
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}") as found:
        yield found


@pytest.fixture
async def following(database: Database, clean: None) -> AsyncIterator[None]:
    """Follows every stream until the end of the test."""
    stop = asyncio.Event()
    running = asyncio.create_task(FollowerRunner(database, FOLLOWERS).run(stop))
    yield
    stop.set()
    await running


@dataclass
class Office:
    """A workspace with a project; what happens there is told as the tasks service tells it."""

    world: Any
    feed: Any
    rows: Callable[..., Awaitable[list[tuple[Any, ...]]]]
    client: httpx2.AsyncClient
    gateway: Any
    project: UUID = field(default_factory=uuid7)
    ann: UUID = field(default_factory=uuid7)
    bob: UUID = field(default_factory=uuid7)
    cem: UUID = field(default_factory=uuid7)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def open(self) -> None:
        owner = self.world.joins(self.ann, role="owner")
        named = {"id": str(self.world.id), "name": "Team"}
        workspace = self.world.event("workspace.created.v1", entity_type="workspace", resource=named)
        place = {"id": str(self.project), "visibility": "workspace", "name": "Home"}
        project = self.world.event(
            "project.created.v1", entity_type="project", resource=place, project_id=str(self.project)
        )
        await self.happen(*[owner, workspace, project], *[self.world.joins(user) for user in (self.bob, self.cem)])

    async def happen(self, *events: EventEnvelope) -> None:
        """Let events come, and wait until they are followed."""
        await self.feed.keep(*events)
        await self.followed()

    async def followed(self) -> None:
        async def reached() -> bool:
            return await self.rows(DONE, s=self.world.id) == [(self.world.seq,)]

        await eventually(reached)

    def by(self, actor: UUID | None) -> dict[str, Any] | None:
        return None if actor is None else {"type": "user", "id": str(actor), "via": "session"}

    def task(
        self,
        event_type: str = "task.created.v1",
        *,
        by: UUID | None,
        task_id: str | None = None,
        changes: tuple[tuple[str, Any, Any], ...] = (),
        project: UUID | None = None,
        data: dict[str, Any] | None = None,
        **fields: Any,
    ) -> EventEnvelope:
        """Return what happens to a task: it has the fields that it had, and these."""
        task_id = task_id or str(uuid7())
        known = self.tasks.setdefault(
            task_id,
            {"id": task_id, "key": f"HOME-{len(self.tasks) + 1}", "title": "Buy milk", "assignees": [], "version": 0},
        )
        known |= {"created_by": known.get("created_by") or str(by), **fields}
        known["version"] += 1
        told = [{"field": name, "old": old, "new": new} for name, old, new in changes]
        place = {"project_id": str(project or self.project), "task_id": task_id, "actor": self.by(by)}
        about = {**place, "changes": told, "version": known["version"], **(data or {})}
        return self.world.event(event_type, entity_type="task", resource=dict(known), **about)

    def comment(
        self,
        task_id: str,
        *,
        by: UUID,
        body: str | None = "Whole or skimmed?",
        event_type: str = "comment.created.v1",
        comment_id: str | None = None,
        mentions: tuple[UUID, ...] = (),
        before: tuple[UUID, ...] | None = None,
        **data: Any,
    ) -> EventEnvelope:
        """Return that a task is commented on, or what happens to a comment that mentioned others `before`."""
        names = [str(one) for one in mentions]
        resource = {"id": comment_id or str(uuid7()), "task_id": task_id, "author_id": str(by), "body": body}
        resource |= {"mentions": names, "parent_id": data.pop("parent_id", None)}
        told = [] if before is None else [{"field": "mentions", "old": [str(one) for one in before], "new": names}]
        place = {"project_id": str(self.project), "task_id": task_id, "actor": self.by(by), "changes": told}
        return self.world.event(event_type, entity_type="comment", resource=resource, **{**place, **data})

    async def call(self, user: UUID, method: str, path: str = "", *, status: int = 200, **options: Any) -> Any:
        """Call the inbox's API as somebody; return what is answered."""
        headers = {**self.gateway.headers(user), **options.pop("headers", {})}
        answer = await self.client.request(method, f"{PATH}{path}", headers=headers, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def inbox(self, user: UUID, query: str = "") -> list[dict[str, Any]]:
        """Return somebody's inbox."""
        found: list[dict[str, Any]] = (await self.call(user, "GET", query))["data"]
        return found

    async def kinds(self, user: UUID, query: str = "") -> list[str]:
        """Return what somebody is told, the latest first."""
        return [one["kind"] for one in await self.inbox(user, query)]

    async def unread(self, user: UUID) -> int:
        return int((await self.call(user, "GET", "/unread-count"))["data"]["unread_count"])


@pytest.fixture
async def office(following, world, feed, rows, api, service) -> Office:
    found = Office(world, feed, rows, api, service.gateway)
    await found.open()
    await rows("DELETE FROM notifications.notification")
    return found
