"""Sessions of a request: the write commits before the answer leaves, the read is one AUTOCOMMIT statement."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from chassis.db.binding import Bound
from chassis.db.row_security import RowSecurity, bind, reading, reading_primary
from chassis.db.transactions import transaction
from chassis.errors import NotFound, Unauthenticated
from chassis.idempotency import IdempotentRequest, StoredAnswer, check_key, claim, fingerprint, store
from chassis.identity import Principal
from chassis.web.answers import Whole
from chassis.web.identity import HEADER, CurrentPrincipal
from chassis.web.replies import JSON, reply
from chassis.web.routing import takes_idempotency_key

ABOUT = "x-about-workspace"
"""Kept with an answer that is about a workspace and does not name it; never sent."""
ABOUT_RESOURCES = "x-about-resources"
"""Kept likewise with an answer that is about resources, and says of each less than where it is."""
NEVER_SENT = frozenset({ABOUT, ABOUT_RESOURCES})
REPLAYED_HEADERS = ("location", "etag", "x-cursor", "cache-control", "vary", "preference-applied")


Shown = Sequence[Mapping[str, Any]]
SeesWorkspaces = Callable[[AsyncSession, Principal, set[UUID], Shown], Awaitable[bool]]
"""Tells whether a caller may see all of some workspaces now, and the resources of them that are shown.

A service gives its own as `state.sees_workspaces`.
"""


async def sees_no_workspace(
    _session: AsyncSession, _caller: Principal, _workspace_ids: set[UUID], _shown: Shown
) -> bool:
    """Tell nothing of workspaces, where a service has not said who sees them."""
    return False


def shown_by(answer: StoredAnswer) -> list[dict[str, Any]]:
    """Return the resources of workspaces that an answer shows."""
    data = orjson.loads(answer.body)["data"] if answer.body else None
    shown = data if isinstance(data, list) else [data]
    named = orjson.loads(answer.headers.get(ABOUT_RESOURCES, "[]"))
    return [*named, *(one for one in shown if isinstance(one, dict) and one.get("workspace_id"))]


def is_in_reach(principal: Principal, resource: Mapping[str, Any]) -> bool:
    """Tell whether an API token's restriction leaves a resource, by the workspace and project that it names."""
    project = resource.get("project_id")
    in_project = project is None or principal.reaches_project(UUID(project))
    return in_project and principal.reaches_workspace(UUID(resource["workspace_id"]))


class Replay(Exception):
    """Carries a stored answer past the endpoint."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__()
        self.answer = answer


class UnansweredWrite(Exception):
    """An endpoint took `Writing` and did not answer through it: a mistake of ours."""


def replayed(answer: StoredAnswer) -> Response:
    """Return the stored answer, marked as a replay."""
    headers = {name: value for name, value in answer.headers.items() if name not in NEVER_SENT}
    headers["idempotency-replayed"] = "true"
    media_type = JSON if answer.body else None
    return Whole(answer.body, answer.status, headers, media_type)


def bound_of(request: Request) -> Bound | None:
    """Return what the request's statements are bound to; None in a service without row security, and for services.

    A request that nobody is known to make is bound to nobody, and sees no rows.
    """
    security: RowSecurity | None = getattr(request.app.state, "row_security", None)
    if security is None:
        return None
    try:
        principal = request.app.state.identities.principal(request.headers.get(HEADER))
    except Unauthenticated:
        return security.of(None)
    return None if principal.kind == "service" else security.of(principal.user_id)


async def _bind(session: AsyncSession, bound: Bound | None) -> None:
    if bound is not None:
        await bind(session, bound)


async def write_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give an endpoint its transaction; for endpoints without an identity. Others take `Writing`."""
    async with transaction(request.app.state.database) as session:
        await _bind(session, bound_of(request))
        yield session


async def read_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    """Give an endpoint a connection that reads."""
    async with reading(request.app.state.database, bound_of(request)) as connection:
        yield connection


async def primary_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    """Give an endpoint a connection for what a lagging replica must not answer."""
    async with reading_primary(request.app.state.database, bound_of(request)) as connection:
        yield connection


WriteSession = Annotated[AsyncSession, Depends(write_session, scope="function")]
ReadConnection = Annotated[AsyncConnection, Depends(read_connection, scope="function")]
PrimaryConnection = Annotated[AsyncConnection, Depends(primary_connection, scope="function")]


class Write:
    """A write in progress: its session, and the answer that is kept with it when the caller sent a key."""

    def __init__(
        self, session: AsyncSession, table: Table, principal: Principal, request: IdempotentRequest | None
    ) -> None:
        self.session = session
        self._table = table
        self._principal = principal
        self._request = request
        self._answer: Response | None = None
        self._kept: Response | None = None
        self._about: dict[str, str] = {}

    async def begin(self, sees_workspaces: SeesWorkspaces | None = None) -> None:
        """Claim the key, if any. Raises Replay with the first answer.

        Raises NotFound when that shows something of a workspace that the caller may not see any more; None stands
        for a caller whose access has just been checked.
        """
        if self._request is None:
            return
        answer = await claim(self.session, self._table, self._request)
        if answer is None:
            return
        if sees_workspaces and not await self._sees(answer, sees_workspaces):
            raise NotFound
        raise Replay(answer)

    async def _sees(self, answer: StoredAnswer, sees_workspaces: SeesWorkspaces) -> bool:
        shown = shown_by(answer)
        if not all(is_in_reach(self._principal, one) for one in shown):
            return False
        workspaces = {UUID(one["workspace_id"]) for one in shown}
        if ABOUT in answer.headers:
            workspaces.add(UUID(answer.headers[ABOUT]))
        if not all(self._principal.reaches_workspace(one) for one in workspaces):
            return False
        return not workspaces or await sees_workspaces(self.session, self._principal, workspaces, shown)

    def reply(
        self,
        data: BaseModel | Sequence[BaseModel] | None,
        *,
        status: int = 200,
        meta: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        kept: BaseModel | None = None,
        about: UUID | None = None,
        about_resources: Shown = (),
    ) -> Response:
        """Answer the request; see chassis.web.replies.reply.

        `about` is the workspace that the answer tells of, where no `workspace_id` in it does: who does not see that any
        more gets no replay. `about_resources` are the resources that it tells of without showing them, each with
        `workspace_id`, and as far as it has them `project_id` and `id`.

        `kept` is what a replay shows instead of `data` that holds a secret: that is told once, and never stored.
        """
        self._answer = reply(data, status=status, meta=meta, headers=headers)
        if about is not None:
            self._about[ABOUT] = str(about)
        if about_resources:
            self._about[ABOUT_RESOURCES] = orjson.dumps([*about_resources]).decode()
        self._kept = None if kept is None else reply(kept, status=status, meta=meta, headers=headers)
        return self._answer

    def reply_afresh(
        self,
        data: BaseModel | Sequence[BaseModel],
        *,
        status: int = 200,
        meta: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Answer the request and keep nothing: the same one with the same key is answered anew.

        For what changes nothing, and of which no copy is to lie anywhere.
        """
        self._request = None
        return reply(data, status=status, meta=meta, headers=headers)

    def no_content(self, headers: Mapping[str, str] | None = None) -> Response:
        """Answer 204 with the caller's `Prefer: return=minimal` applied (RFC 7240)."""
        self._answer = Whole(b"", 204, {**(headers or {}), "preference-applied": "return=minimal"})
        return self._answer

    async def finish(self) -> None:
        """Keep the answer with its effect. Raises UnansweredWrite, since a repeated request would work again."""
        if self._request is None:
            return
        if self._answer is None:
            raise UnansweredWrite
        kept = self._kept or self._answer
        headers = {name: value for name, value in kept.headers.items() if name in REPLAYED_HEADERS}
        answer = StoredAnswer(kept.status_code, headers | self._about, bytes(kept.body))
        await store(self.session, self._table, self._request, answer)


@asynccontextmanager
async def open_write(
    request: Request, principal: Principal, *, content: bytes, sees_workspaces: SeesWorkspaces | None = None
) -> AsyncIterator[Write]:
    """Open the transaction of a request whose body the endpoint has read by itself, such as an upload.

    `content` stands for the body where the idempotency key's request is compared: a digest of what came. The
    commit is at the end of the block. Raises Replay with the first answer to the key, IdempotencyInProgress,
    IdempotencyKeyReused, IdempotencyKeyInvalid, and NotFound as `Write.begin` says.
    """
    state = request.app.state
    keyed = _keyed(request, principal, content)
    async with transaction(state.database) as session:
        await _bind(session, bound_of(request))
        write = Write(session, state.idempotency_table, principal, keyed)
        await write.begin(sees_workspaces)
        yield write
        await write.finish()


async def replay_first_answer(request: Request, principal: Principal) -> None:
    """Raise Replay when the request has been answered before, and return otherwise.

    For a dependency that finds its object gone before the transaction begins: it may be this request that took it
    away, and object and answer change in one commit. Raises what `open_write` raises.
    """
    state = request.app.state
    keyed = _keyed(request, principal, await request.body())
    async with transaction(state.database) as session:
        await _bind(session, bound_of(request))
        await Write(session, state.idempotency_table, principal, keyed).begin(_sees_workspaces(request))


def _keyed(request: Request, principal: Principal, content: bytes) -> IdempotentRequest | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    digest = fingerprint(request.method, request.scope["path"], request.scope["query_string"], content)
    return IdempotentRequest(principal.credential_id, check_key(key), digest)


def _sees_workspaces(request: Request) -> SeesWorkspaces:
    found: SeesWorkspaces = getattr(request.app.state, "sees_workspaces", sees_no_workspace)
    return found


@takes_idempotency_key
async def writing(request: Request, principal: CurrentPrincipal) -> AsyncIterator[Write]:
    """Give an endpoint its transaction with the caller's idempotency key applied."""
    content = await request.body() if "idempotency-key" in request.headers else b""
    async with open_write(request, principal, content=content, sees_workspaces=_sees_workspaces(request)) as write:
        yield write


Writing = Annotated[Write, Depends(writing, scope="function")]
