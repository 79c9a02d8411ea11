"""Sessions of a request: the write commits before the answer leaves, the read is one AUTOCOMMIT statement."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.idempotency import IdempotentRequest, StoredAnswer, check_key, claim, fingerprint, store
from chassis.identity import Principal
from chassis.web.identity import CurrentPrincipal
from chassis.web.replies import JSON, reply
from chassis.web.routing import takes_idempotency_key

REPLAYED_HEADERS = ("location", "etag", "x-cursor", "cache-control", "vary", "preference-applied")


class Replay(Exception):
    """Carries a stored answer past the endpoint."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__()
        self.answer = answer


class UnansweredWrite(Exception):
    """An endpoint took `Writing` and did not answer through it: a mistake of ours."""


def replayed(answer: StoredAnswer) -> Response:
    """Return the stored answer, marked as a replay."""
    headers = {**answer.headers, "idempotency-replayed": "true"}
    media_type = JSON if answer.body else None
    return Response(answer.body, answer.status, headers, media_type)


async def write_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give an endpoint its transaction; for endpoints without an identity. Others take `Writing`."""
    async with transaction(request.app.state.database) as session:
        yield session


async def read_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    """Give an endpoint a connection that reads."""
    database: Database = request.app.state.database
    async with database.reader.connect() as connection:
        yield connection


WriteSession = Annotated[AsyncSession, Depends(write_session, scope="function")]
ReadConnection = Annotated[AsyncConnection, Depends(read_connection, scope="function")]


class Write:
    """A write in progress: its session, and the answer that is kept with it when the caller sent a key."""

    def __init__(self, session: AsyncSession, table: Table, request: IdempotentRequest | None) -> None:
        self.session = session
        self._table = table
        self._request = request
        self._answer: Response | None = None

    async def begin(self) -> None:
        """Claim the key, if any. Raises Replay with the first answer."""
        if self._request is None:
            return
        answer = await claim(self.session, self._table, self._request)
        if answer is not None:
            raise Replay(answer)

    def reply(
        self,
        data: BaseModel | Sequence[BaseModel] | None,
        *,
        status: int = 200,
        meta: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Answer the request; see chassis.web.replies.reply."""
        self._answer = reply(data, status=status, meta=meta, headers=headers)
        return self._answer

    def no_content(self, headers: Mapping[str, str] | None = None) -> Response:
        """Answer 204 with the caller's `Prefer: return=minimal` applied (RFC 7240)."""
        self._answer = Response(b"", 204, {**(headers or {}), "preference-applied": "return=minimal"})
        return self._answer

    async def finish(self) -> None:
        """Keep the answer with its effect. Raises UnansweredWrite, since a repeated request would work again."""
        if self._request is None:
            return
        if self._answer is None:
            raise UnansweredWrite
        headers = {name: value for name, value in self._answer.headers.items() if name in REPLAYED_HEADERS}
        answer = StoredAnswer(self._answer.status_code, headers, bytes(self._answer.body))
        await store(self.session, self._table, self._request, answer)


@asynccontextmanager
async def open_write(request: Request, principal: Principal, *, content: bytes) -> AsyncIterator[Write]:
    """Open the transaction of a request whose body the endpoint has read by itself, such as an upload.

    `content` stands for the body where the idempotency key's request is compared: a digest of what came. The
    commit is at the end of the block. Raises Replay with the first answer to the key, IdempotencyInProgress,
    IdempotencyKeyReused and IdempotencyKeyInvalid.
    """
    state = request.app.state
    key = request.headers.get("idempotency-key")
    keyed = None
    if key is not None:
        digest = fingerprint(request.method, request.scope["path"], request.scope["query_string"], content)
        keyed = IdempotentRequest(principal.user_id, check_key(key), digest)
    async with transaction(state.database) as session:
        write = Write(session, state.idempotency_table, keyed)
        await write.begin()
        yield write
        await write.finish()


@takes_idempotency_key
async def writing(request: Request, principal: CurrentPrincipal) -> AsyncIterator[Write]:
    """Give an endpoint its transaction with the caller's idempotency key applied."""
    content = await request.body() if "idempotency-key" in request.headers else b""
    async with open_write(request, principal, content=content) as write:
        yield write


Writing = Annotated[Write, Depends(writing, scope="function")]
