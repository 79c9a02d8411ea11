"""Writing at a steady pace, each change tried until it is acknowledged, with one idempotency key for all tries."""

import asyncio
import itertools
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import httpx2
from chassis.ids import uuid7

TRIES = 60
AGAIN_SECONDS = 0.5
TASKS_KEPT = 200
AT_ONCE = 32
"""A machine that can't keep up is not given more and more to do."""


@dataclass(frozen=True)
class Acknowledged:
    """A change that a client was told of: whose it was, and what is to be in the log."""

    by: str
    subject: str
    version: int
    type: str
    told: frozenset[str] = frozenset()
    """Whom it has to notify."""


@dataclass
class Writers:
    """Some people who write so many changes a second between them."""

    url: str
    project: str
    people: list
    rate: float
    random: random.Random
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    given_up: int = 0
    tries: int = 0
    under_way: int = 0
    troubles: Counter = field(default_factory=Counter)
    lateness: float = 0.0
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    tasks: deque[str] = field(default_factory=lambda: deque(maxlen=TASKS_KEPT))

    async def run(self, stop):
        """Write until told to stop, and wait for what is under way."""
        started = time.monotonic()
        async with (
            httpx2.AsyncClient(
                base_url=f"{self.url}/api/v1",
                timeout=15,
                trust_env=False,
                limits=httpx2.Limits(max_connections=64, max_keepalive_connections=64),
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in itertools.count():
                wait = started + number / self.rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                await self.slots.acquire()
                self.lateness = max(self.lateness, time.monotonic() - started - number / self.rate)
                if stop.is_set():
                    return
                group.create_task(self.write(client, number))

    async def write(self, client, number):
        self.under_way += 1
        try:
            await self.change(client, number)
        finally:
            self.under_way -= 1
            self.slots.release()

    async def change(self, client, number):
        person, other = self.random.sample(self.people, 2)
        kind = self.random.random()
        if kind < 0.4 or not self.tasks:
            body = {"title": f"Task {number}", "project_id": self.project, "assignees": [other.id]}
            done = await self.send(client, person, "POST", "/tasks", body)
            if done is not None:
                self.tasks.append(done["id"])
                self.note(person, done, "task.created", other)
            return
        task = self.random.choice(self.tasks)
        if kind < 0.7:
            done = await self.send(client, person, "PATCH", f"/tasks/{task}", {"title": f"Task {number} again"})
            if done is not None:
                self.note(person, done, "task.updated")
            return
        body = {"body": f"Look, @[user:{other.id}]: {number}"}
        done = await self.send(client, person, "POST", f"/tasks/{task}/comments", body)
        if done is not None:
            self.note(person, done, "comment.created", other)

    def note(self, person, done, type_, *told):
        told = frozenset(one.id for one in told)
        self.acknowledged.append(Acknowledged(person.id, done["id"], done["version"], type_, told))

    async def send(self, client, person, method, path, body):
        """Send until it is answered for good; return the resource, or None where it was refused or given up."""
        headers = {**person.headers, "idempotency-key": str(uuid7())}
        for _ in range(TRIES):
            self.tries += 1
            try:
                answer = await client.request(method, path, json=body, headers=headers)
            except httpx2.TransportError as error:
                answer = None
                self.troubles[type(error).__name__] += 1
            if answer is not None and answer.is_success:
                return answer.json()["data"]
            if answer is not None and answer.status_code < 500 and answer.status_code not in (409, 425, 429):
                self.refused.append(f"{method} {path.split('/')[1]}: {answer.status_code} {answer.text[:200]}")
                return None
            if answer is not None:
                self.troubles[f"{answer.status_code} {answer.json()['errors'][0]['code']}"] += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.given_up += 1
        return None
