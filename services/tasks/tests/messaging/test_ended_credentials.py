"""E8, A7: a job is not gone on with when the session or the API token that started it has ended."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message, Reject
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from tasks_service.bulk.jobs import is_whole
from tasks_service.db import Inbox
from tasks_service.ended_credentials.consumers import on_end_of_credential
from tasks_service.jobs.schemas import JobKind
from tasks_service.scheduler import JOBS
from tasks_service.worker import CONSUMERS
from testkit.jobs import run_to_end

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "auth"
ENDS = ("session.revoked.v1", "session.compromised.v1", "token.revoked.v1")
SCOPES = ("tasks:read", "tasks:write")
MANY = 201


def end_of(credential_id, event_type="token.revoked.v1"):
    noun = event_type.partition(".")[0]
    return EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source="/taskloom/auth",
        subject=credential_id,
        occurred_at=utcnow(),
        stream_id=credential_id,
        sequence=2,
        data={"entity_type": noun, "entity_id": str(credential_id), "version": 2, "added_tomorrow": True},
    )


@pytest.fixture
def take(database, valkey_url):
    """Takes events in, as the worker does."""
    transport = StreamsTransport(valkey_url, prefix="unused")
    runner = ConsumerRunner(database, table_of(Inbox), transport, on_end_of_credential)

    async def take(*events):
        for event in events:
            await runner.handle(Message(str(event.event_id), event.type, str(event.stream_id), event.to_json()))

    return take


class Work:
    """Jobs of a team that were started by some credential."""

    def __init__(self, team, work, gateway):
        self.team, self.work, self.gateway = team, work, gateway

    async def start(self, headers, mode="partial", *, makes=True):
        place = str(self.team.project_id)
        one = (
            {"op": "create", "data": {"title": "a", "project_id": place}} if makes else {"op": "complete", "id": place}
        )
        operations = [one] * MANY
        body = {"mode": mode, "operations": operations}
        answer = await self.team.api.post("/api/v1/tasks/bulk", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()["data"]["id"]

    def token(self, token_id, who="owner", **bounds):
        return self.gateway.token_headers(self.team.ids[who], *SCOPES, token_id=token_id, **bounds)

    def working(self, kinds=None):
        return self.work.working(kinds, slots=1)

    async def ended(self, job_id, who="owner"):
        return await self.work.ended(self.team, job_id, who)

    async def done(self, job_id):
        async with self.working():
            return await self.ended(job_id)

    async def made(self):
        ((count,),) = await self.team.rows(
            "SELECT count(*) FROM tasks.task WHERE project_id = :p", p=self.team.project_id
        )
        return count


@pytest.fixture
async def work(roster, job_work, test_gateway):
    return Work(roster, job_work, test_gateway)


def told(job):
    return (job["status"], job["error"] and job["error"]["code"], job["done"])


def test_the_worker_has_a_queue_for_them():
    assert on_end_of_credential in CONSUMERS
    assert on_end_of_credential.queue.patterns == ENDS


@pytest.mark.parametrize("event_type", ENDS)
async def test_what_auth_promises_is_taken_once_and_what_is_none_is_refused(take, rows, event_type):
    event = json.loads((CONTRACTS / f"{event_type}.example.json").read_text())
    noted = "SELECT count(*) FROM tasks.ended_credential WHERE id = :id"
    credential_id = UUID(event["data"]["entity_id"])
    await rows("DELETE FROM tasks.ended_credential WHERE id = :id", id=credential_id)
    await take(EventEnvelope.from_json(json.dumps(event | {"id": str(uuid7())}).encode()))
    await take(end_of(credential_id, event_type), end_of(credential_id, event_type))
    assert await rows(noted, id=credential_id) == [(1,)]
    broken = end_of(uuid7(), event_type)
    with pytest.raises(Reject):
        await take(broken.model_copy(update={"data": {"entity_id": "x"}}))


@pytest.mark.parametrize("mode", ["partial", "atomic"])
async def test_a7_a_job_of_a_token_that_is_revoked_fails_and_the_rest_is_not_done(work, take, mode):
    token_id = uuid7()
    job_id = await work.start(work.token(token_id), mode=mode)
    other = await work.start(work.token(uuid7()), makes=False)
    await take(end_of(token_id))
    async with work.working():
        ended = [told(await work.ended(one)) for one in (job_id, other)]
    # What another token has started goes on.
    assert ended == [("failed", "CREDENTIAL_REVOKED", 0), ("succeeded", None, MANY)]
    results = await work.team.ok("owner", "GET", f"/jobs/{job_id}/results?per_page=100")
    assert {one["outcome"] for one in results} == {"cancelled"}
    assert await work.made() == 0


async def test_a7_news_of_the_end_that_come_before_the_job_end_it_too(work, take):
    token_id = uuid7()
    await take(end_of(token_id))
    assert told(await work.done(await work.start(work.token(token_id)))) == ("failed", "CREDENTIAL_REVOKED", 0)


async def test_a7_a_job_under_way_stops_before_its_next_step_and_what_is_done_stays(work, take):
    token_id, reached, go_on = uuid7(), asyncio.Event(), asyncio.Event()

    async def step(session, job):
        progress = await work.work.kinds["bulk"].step(session, job)
        reached.set()
        await go_on.wait()
        return progress

    job_id = await work.start(work.token(token_id))
    async with work.working({"bulk": JobKind(step)}):
        await reached.wait()
        await take(end_of(token_id))
        go_on.set()
        job = await work.ended(job_id)
    assert told(job)[:2] == ("failed", "CREDENTIAL_REVOKED")
    assert 0 < job["done"] < MANY
    assert await work.made() == job["done"]
    results = await work.team.ok("owner", "GET", f"/jobs/{job_id}/results?status=cancelled&per_page=100")
    assert results[0]["index"] == job["done"]


async def test_a7_what_is_done_as_a_whole_is_undone_by_the_end_of_its_token(work, take):
    token_id, reached, go_on = uuid7(), asyncio.Event(), asyncio.Event()

    async def step(session, job):
        progress = await work.work.kinds["bulk"].step(session, job)
        reached.set()
        await go_on.wait()
        return progress

    job_id = await work.start(work.token(token_id), mode="atomic")
    async with work.working({"bulk": JobKind(step, is_whole)}):
        await reached.wait()
        await take(end_of(token_id))
        go_on.set()
        job = await work.ended(job_id)
    assert told(job) == ("failed", "CREDENTIAL_REVOKED", 0)
    assert await work.made() == 0


@pytest.mark.parametrize("event_type", ENDS[:2])
async def test_a3_a_job_of_a_session_that_has_ended_fails_and_those_of_others_go_on(work, take, event_type):
    session_id = uuid7()
    job_id = await work.start(work.gateway.headers(work.team.ids["owner"], session_id=session_id))
    other = await work.start(work.gateway.headers(work.team.ids["owner"]), makes=False)
    await take(end_of(session_id, event_type))
    async with work.working():
        ended = [told(await work.ended(one)) for one in (job_id, other)]
    assert ended == [("failed", "CREDENTIAL_REVOKED", 0), ("succeeded", None, MANY)]


async def test_a7_a_job_of_a_token_whose_time_is_over_fails(work):
    now = utcnow()
    over = await work.start(work.token(uuid7(), expires_at=now - timedelta(seconds=1)))
    job_id = await work.start(work.token(uuid7(), expires_at=now + timedelta(minutes=5)), makes=False)
    async with work.working():
        ended = [told(await work.ended(one)) for one in (over, job_id)]
    assert ended == [("failed", "CREDENTIAL_EXPIRED", 0), ("succeeded", None, MANY)]


async def test_a7_ends_are_forgotten_after_a_month(take, rows, database):
    old, new = uuid7(), uuid7()
    await take(end_of(old), end_of(new))
    noted = "UPDATE tasks.ended_credential SET ended_at = now() - :age * interval '1 day' WHERE id = :id"
    await rows(noted, age=31, id=old)
    await rows(noted, age=29, id=new)
    await run_to_end(database, JOBS, "purge-ended-credentials")
    left = "SELECT id FROM tasks.ended_credential WHERE id = ANY(:ids)"
    assert await rows(left, ids=[old, new]) == [(new,)]
