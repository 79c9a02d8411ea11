"""Answering a request anew, in a new transaction, when its own one lost against another (R37).

A transaction that was a deadlock's victim, or that met what another one had just done, left nothing behind, and its
answer has not begun. So the whole request is handled again, from its dependencies on: what it looks at now is there.
So is a read whose server went away meanwhile, such as a replica: there may be another one.
Only for services whose handlers do nothing outside their transaction, which say so by `state.answers_by`.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog
from fastapi import Request, Response
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from chassis.db.failures import (
    CHECK_VIOLATION,
    FOREIGN_KEY_VIOLATION,
    UNIQUE_VIOLATION,
    is_lost,
    sqlstate,
)
from chassis.errors import Overtaken

log = structlog.get_logger()

REPEATED = Counter("taskloom_http_requests_repeated_total", "Transactions that were begun anew.", ["state"])
OVERTAKEN = "overtaken"
LOST = "lost"
TIMES = {
    "40001": 3,
    "40P01": 3,
    OVERTAKEN: 3,
    LOST: 1,
    # What was looked up is there no more, is otherwise, or is there now: looked up again, it gets its own answer.
    FOREIGN_KEY_VIOLATION: 1,
    UNIQUE_VIOLATION: 1,
    CHECK_VIOLATION: 1,
}
"""How often a request is handled again after which failure."""
LONGEST_PAUSE_SECONDS = 0.05
ATTEMPTS = "taskloom.attempts"
"""Where the scope has how often a request was tried before it came to its route."""
SAFE_METHODS = frozenset({"GET", "HEAD"})

Handler = Callable[[Request], Awaitable[Response]]

_random = secrets.SystemRandom()


async def answer_repeatedly(request: Request, handle: Handler) -> Response:
    """Handle a request, and again while others were faster. Raises what the last attempt raised."""
    attempt = request.scope.get(ATTEMPTS, 0)
    while True:
        try:
            return await _in_transaction_of_its_own(request, handle)
        except (DBAPIError, InvalidRequestError, Overtaken) as error:
            state = _reason(request, error)
            if attempt >= TIMES.get(state, 0) or not _is_repeatable(request):
                raise
        attempt += 1
        await pause_before(attempt, state)


async def pause_before(attempt: int, state: str) -> None:
    """Tell that a request is tried again, after what failure, and leave the others a moment."""
    REPEATED.labels(state).inc()
    log.info("request.repeated", state=state, attempt=attempt)
    await asyncio.sleep(_random.uniform(0, LONGEST_PAUSE_SECONDS * attempt))


def _reason(request: Request, error: Exception) -> str:
    if isinstance(error, Overtaken):
        return OVERTAKEN
    return LOST if is_lost(error) and request.method in SAFE_METHODS else sqlstate(error)


async def _in_transaction_of_its_own(request: Request, handle: Handler) -> Response:
    """Handle a request; the dependencies that end with the endpoint end here, with their commit."""
    async with AsyncExitStack() as stack:
        request.scope["fastapi_function_astack"] = stack
        return await handle(request)


def _is_repeatable(request: Request) -> bool:
    """Tell whether the handler can be called again: a body that was read as a stream is gone."""
    return hasattr(request, "_body") or not request._stream_consumed  # noqa: SLF001 - nothing else tells it
