"""The worker of jobs, and the periodic work on them.

A worker takes a job with a lease and a fence that is raised by each taking. Each step is one transaction of the job's
maker: effects, results and progress are committed together, and only while the fence is still the worker's own. So
whoever dies, stops or is too late, whatever is done is done exactly once.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from chassis.context import RequestContext, bind_request
from chassis.db.engine import Database
from chassis.db.failures import TROUBLE, explain, sqlstate
from chassis.db.listening import keep_listening
from chassis.db.row_security import RowSecurity, beyond_memberships, bind
from chassis.db.transactions import transaction
from chassis.errors import AppError, ErrorKind, InternalError, Overtaken
from chassis.telemetry.logs import bind_ids
from chassis.telemetry.tracing import trace_id_of
from chassis.waiting import first_of
from chassis.web.repeating import LONGEST_PAUSE_SECONDS, OVERTAKEN, TIMES
from prometheus_client import Counter
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.jobs import repository, service
from tasks_service.jobs.errors import LeaseLost
from tasks_service.jobs.rules import MAX_ATTEMPTS, MAX_TAKINGS, MAX_WAITS, pause_after
from tasks_service.jobs.schemas import JobKind, RunningJob

log = structlog.get_logger()

ENDED = Counter("taskloom_jobs_ended_total", "Jobs that have ended.", ["kind", "status"])
STEPS = Counter("taskloom_job_steps_total", "Steps of jobs that were committed.", ["kind"])

OURS = frozenset({ErrorKind.INTERNAL, ErrorKind.UNAVAILABLE})
"""Kinds of errors for which nobody but us can do anything: what meets them is tried again."""
NO_PAUSE = timedelta()

_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class WorkTerms:
    """How long a job is held, how many at once, and how often is looked for one that nobody has told of."""

    lease: timedelta = timedelta(seconds=60)
    slots: int = 2
    poll_seconds: float = 1.0


class CancelledMeanwhile(Exception):
    """A job that is done as a whole was cancelled before that: nothing of it stays."""


class JobWorker:
    """Does jobs of all makers, some at once. Of several workers each does others."""

    def __init__(
        self,
        database: Database,
        security: RowSecurity,
        kinds: Mapping[str, JobKind],
        terms: WorkTerms = WorkTerms(),
    ) -> None:
        self._database = database
        self._security = security
        self._kinds = kinds
        self._terms = terms
        self._woken = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then what is under way is finished, and the rest left to others."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(stop))
            for _ in range(self._terms.slots):
                group.create_task(self._work(stop))

    async def _listen(self, stop: asyncio.Event) -> None:
        """Wake the slots when there is a job; whatever is missed meanwhile is found by looking."""
        await keep_listening(self._database, repository.CHANNEL, stop, heard=lambda _: self._woken.set())

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                worked = await self._take_one(stop)
            except TROUBLE as error:
                log.warning("jobs.trouble", reason=type(error).__name__)
                worked = False
            except Exception:
                log.exception("jobs.failed")
                worked = False
            if not worked:
                await first_of(stop, self._woken, seconds=self._terms.poll_seconds)
                self._woken.clear()

    async def _take_one(self, stop: asyncio.Event) -> bool:
        """Take a job and get it on; return whether there was one."""
        row = await self._take(stop)
        if row is None:
            return False
        _bind_request(row)
        log.info("job.taken", job_id=str(row["id"]), kind=row["kind"], fence=row["fence"])
        if row["takings"] > MAX_TAKINGS:
            await self._end(row, InternalError(log_detail="taken too often"))
        else:
            await self._do(row, stop)
        return True

    async def _take(self, stop: asyncio.Event) -> RowMapping | None:
        """Take a job; None if there is none, or if we are to stop: what is taken then was never ours."""
        async with transaction(self._database) as session:
            row = await repository.take(session, tuple(self._kinds), self._terms.lease)
            if stop.is_set():
                await session.rollback()
                return None
        return row

    async def _do(self, row: RowMapping, stop: asyncio.Event) -> None:
        """Get a job on while it is held, and leave the rest of it to whoever takes it next."""
        try:
            async with self._held(row):
                is_unfinished = await self._get_on(row, stop)
            # Only now: who still held it would prolong what is released.
            if is_unfinished:
                await self._leave(row, NO_PAUSE, attempts=0)
        except LeaseLost:
            log.warning("job.lost", job_id=str(row["id"]), fence=row["fence"])
        except AppError as error:
            await self._fail(row, error)
        except TROUBLE as error:
            refusal = explain(error)
            # What is wrong with one operation is so at the next attempt, too.
            is_of_one = refusal.details[0].index is not None
            await (self._fail(row, refusal) if is_of_one else self._put_off(row, refusal))
        except Exception as error:
            log.exception("job.step_failed", job_id=str(row["id"]))
            await self._put_off(row, InternalError(log_detail=type(error).__name__))

    async def _get_on(self, row: RowMapping, stop: asyncio.Event) -> bool:
        """Do steps of a job until it ends, or until others are to have their turn; return whether there is more."""
        while await self._step(row):
            if stop.is_set() or await self._others_wait():
                return True
        return False

    async def _step(self, row: RowMapping) -> bool:
        """Do one step, again where another transaction was faster; return whether there is more to do."""
        attempt = 0
        while True:
            try:
                return await self._step_once(row)
            except CancelledMeanwhile:
                continue
            except (DBAPIError, Overtaken) as error:
                state = OVERTAKEN if isinstance(error, Overtaken) else sqlstate(error)
                if attempt >= TIMES.get(state, 0):
                    raise
            attempt += 1
            await asyncio.sleep(_random.uniform(0, LONGEST_PAUSE_SECONDS * attempt))

    async def _step_once(self, row: RowMapping) -> bool:
        async with transaction(self._database) as session:
            now = await service.find_held(session, row["id"], row["fence"])
            if now["cancel_requested_at"] is None:
                after = await self._take_step(session, now)
            else:
                after = await service.end_job(session, row["id"], row["fence"])
        STEPS.labels(row["kind"]).inc()
        if after["finished_at"] is None:
            return True
        _note_end(after)
        return False

    async def _take_step(self, session: AsyncSession, row: RowMapping) -> RowMapping:
        kind, job = self._kinds[row["kind"]], RunningJob.of(row)
        await bind(session, self._security.of(job.actor.user_id))
        progress = await kind.step(session, job)
        async with beyond_memberships(session, "the progress of a job, whose maker may have left meanwhile"):
            after = await service.advance(session, row, progress, lease=self._terms.lease)
            if kind.is_whole(job):
                # There is no step after this one to find that it may go on no more.
                await service.require_maker(session, after)
        if after["cancel_requested_at"] is not None and kind.is_whole(job):
            raise CancelledMeanwhile
        return after

    async def _others_wait(self) -> bool:
        async with transaction(self._database) as session:
            return await repository.is_awaited(session, tuple(self._kinds))

    @asynccontextmanager
    async def _held(self, row: RowMapping) -> AsyncIterator[None]:
        """Prolong the lease for the block, so that a step may take long: only who is gone loses its job."""
        over = asyncio.Event()
        holding = asyncio.create_task(self._hold(row, over))
        try:
            yield
        finally:
            over.set()
            await holding

    async def _hold(self, row: RowMapping, over: asyncio.Event) -> None:
        pause = self._terms.lease.total_seconds() / 3
        await first_of(over, seconds=pause)
        while not over.is_set():
            with suppress(*TROUBLE):
                async with transaction(self._database) as session:
                    if not await repository.prolong(session, row["id"], row["fence"], self._terms.lease):
                        return
            await first_of(over, seconds=pause)

    async def _fail(self, row: RowMapping, error: AppError) -> None:
        """End a job for what its maker is told of; what is ours to mend is tried again."""
        if error.kind in OURS:
            await self._put_off(row, error)
        else:
            await self._end(row, error)

    async def _put_off(self, row: RowMapping, error: AppError) -> None:
        """Leave a job for a while, and end it when that has been in vain too often."""
        async with transaction(self._database) as session:
            now = await repository.find_held(session, row["id"], row["fence"])
        if now is None:
            return
        attempts = now["attempts"] + 1
        fields = {"job_id": str(row["id"]), "code": error.code, "detail": error.log_detail, "attempts": attempts}
        log.warning("job.put_off", **fields)
        if attempts >= (MAX_WAITS if error.kind is ErrorKind.UNAVAILABLE else MAX_ATTEMPTS):
            await self._end(row, InternalError(log_detail=error.log_detail))
        else:
            await self._leave(row, pause_after(attempts), attempts=attempts)

    async def _leave(self, row: RowMapping, pause: timedelta, *, attempts: int) -> None:
        async with transaction(self._database) as session:
            await repository.release(session, row["id"], row["fence"], pause=pause, attempts=attempts)

    async def _end(self, row: RowMapping, error: AppError) -> None:
        with suppress(LeaseLost):
            async with transaction(self._database) as session:
                ended = await service.end_job(session, row["id"], row["fence"], error=error)
            _note_end(ended)


def _bind_request(row: RowMapping) -> None:
    """Let what is done and logged be of the request that started the job."""
    bind_request(RequestContext(row["request_id"], row["traceparent"]))
    bind_ids(request_id=row["request_id"], trace_id=trace_id_of(row["traceparent"]))


def _note_end(row: RowMapping) -> None:
    ENDED.labels(row["kind"], row["status"]).inc()
    log.info("job.ended", job_id=str(row["id"]), status=row["status"], done=row["done"], failed=row["failed"])


async def purge_jobs(session: AsyncSession, *, ended_before: datetime) -> bool:
    """Forget a batch of the jobs that ended before then, with their results."""
    return await repository.purge(session, before=ended_before)
