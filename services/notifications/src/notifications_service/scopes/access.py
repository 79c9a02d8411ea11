"""Waits for what a caller has just made: the events of a workspace or project come a moment after its answer."""

import asyncio
from collections.abc import Collection, Sequence
from time import monotonic

from chassis.db.row_security import reading_primary
from chassis.identity import Principal
from chassis.web.database import bound_of
from chassis.web.identity import HEADER
from fastapi import Request

from notifications_service.realtime.service import TasksClient
from notifications_service.realtime.subscriptions import Scope
from notifications_service.scopes import repository
from notifications_service.scopes.repository import Key

PATIENCE_SECONDS = 2.0
PAUSE_SECONDS = 0.05


async def await_scopes(request: Request, caller: Principal, asked: Collection[Key]) -> None:
    """Wait, for a moment at most, until workspaces and projects that the caller sees are known here, too.

    Before the transaction of the request, and without a connection meanwhile. The tasks service says whether there is
    something to wait for: what it does not show is left to be refused at once.
    """
    deadline = monotonic() + PATIENCE_SECONDS
    awaited: Key | None = None
    while (unknown := await _unknown(request, caller, asked)) and monotonic() < deadline:
        if unknown[0] != awaited and not await _is_seen(request, unknown[0]):
            return
        awaited = unknown[0]
        await asyncio.sleep(PAUSE_SECONDS)


async def _unknown(request: Request, caller: Principal, asked: Collection[Key]) -> Sequence[Key]:
    if not asked:
        return []
    async with reading_primary(request.app.state.database, bound_of(request)) as reader:
        known = await repository.find(reader, {scope_id for _, scope_id in asked}, user_id=caller.user_id)
    return sorted(set(asked) - known.keys())


async def _is_seen(request: Request, asked: Key) -> bool:
    tasks: TasksClient = request.app.state.tasks
    kind, scope_id = asked
    identity = request.headers[HEADER]
    if kind == "workspace":
        return scope_id in await tasks.memberships(identity)
    return await tasks.place_of(identity, Scope("project", scope_id)) is not None
