"""A small service: notes, over a real database, with every part of the web chassis in use."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx2
import pytest
from chassis.db.base import schema_metadata, table_of
from chassis.db.engine import Database, open_database
from chassis.errors import Conflict, NotFound, Overtaken, PersistedError
from chassis.idempotency import IdempotencyMixin
from chassis.ids import uuid7
from chassis.settings import DatabaseSettings
from chassis.tokens import IdentityVerifier
from chassis.web.app import APIRouter, create_app
from chassis.web.database import ReadConnection, WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.flags import Flag
from chassis.web.health import Health
from chassis.web.identity import CallingService, CurrentPrincipal, IdentityCache
from chassis.web.openapi import NEVER_STORED, example
from chassis.web.pagination import PagingQuery, cursor_links, page_links
from chassis.web.preconditions import ExpectedVersion, WantsMinimal
from chassis.web.repeating import answer_repeatedly
from chassis.web.replies import NO_STORE, etag, reply, unless_unchanged
from chassis.web.routing import any_credential, gives_name, public, scope, session_only
from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import BigInteger, ForeignKey, func, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from testkit.databases import PATIENCE, create_database
from testkit.identities import TestGateway

NOTES = "/api/v1/notes"
WORKSPACE = UUID("01990000-0000-7000-8000-000000000001")


class Base(DeclarativeBase):
    metadata = schema_metadata("notes")


class Note(Base):
    __tablename__ = "note"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    # Checked at the commit only, so that a commit can fail.
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("note.id", deferrable=True, initially="DEFERRED"))


class IdempotencyKey(IdempotencyMixin, Base):
    pass


NOTE, KEYS = table_of(Note), table_of(IdempotencyKey)


class NoteCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=40)
    size: int | None = Field(default=None, strict=True, ge=0, le=1000)
    parent_id: UUID | None = None
    due: datetime | None = None


class Renaming(BaseModel):
    titles: list[str]


class NotePatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str | None = None


class NoteOut(BaseModel):
    id: UUID
    title: str


class SharedNoteOut(NoteOut):
    workspace_id: UUID


class NoteExists(Conflict):
    code = "NOTE_EXISTS"


class Counted(PersistedError, Conflict):
    code = "COUNTED"


class Gate:
    """Where an endpoint waits in the middle of its transaction, when a test has closed it."""

    def __init__(self) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def passed(self) -> None:
        self.reached.set()
        await self.open.wait()


class Meeting:
    """Where so many wait for each other, once; who comes later goes through."""

    def __init__(self) -> None:
        self.expected, self._here, self.visits, self._all = 0, 0, 0, asyncio.Event()

    async def passed(self) -> None:
        self.visits += 1
        self._here += 1
        if self._here >= self.expected:
            self._all.set()
        await self._all.wait()


router = APIRouter(prefix=NOTES, tags=["notes"])
other = APIRouter(prefix="/api/v1", tags=["other"])


async def add(session: Any, wanted: NoteCreate) -> NoteOut:
    note = NoteOut(id=uuid7(), title=wanted.title)
    await session.execute(insert(NOTE).values(id=note.id, title=note.title, parent_id=wanted.parent_id))
    return note


@router.post("", status_code=201)
@scope("notes:write")
async def create_note(request: Request, write: Writing, wanted: NoteCreate) -> Response:
    note = await add(write.session, wanted)
    await request.app.state.gate.passed()
    if wanted.title.startswith("refused"):
        raise NoteExists
    return write.reply(note, status=201, headers={"location": f"{NOTES}/{note.id}", "etag": etag(1)})


@router.get("")
@scope("notes:read")
async def list_notes(
    request: Request,
    connection: ReadConnection,
    paging: PagingQuery,
    principal: CurrentPrincipal,
    colour: Annotated[list[str] | None, Query()] = None,
    shade: Annotated[list[Literal["dark", "light"]] | None, Query()] = None,
    *,
    old: Annotated[Flag, Query()] = False,
) -> Response:
    total = (await connection.execute(select(func.count()).select_from(NOTE))).scalar_one()
    if paging.cursor is None:
        meta = {"total": total, "shade": shade, "old": old}
        return reply([], meta=meta, headers=page_links(request, paging, 45))
    meta = {"next_cursor": "after+/=", "prev_cursor": None}
    return reply([], meta=meta, headers=cursor_links(request, meta))


@router.get("/{note_id}")
@scope("notes:read")
async def read_note(
    request: Request, note_id: UUID, connection: ReadConnection, principal: CurrentPrincipal
) -> Response:
    row = (await connection.execute(select(NOTE).where(NOTE.c.id == note_id))).mappings().one_or_none()
    if row is None:
        raise NotFound
    note = NoteOut(id=row["id"], title=row["title"])
    return unless_unchanged(request, reply(note, headers={"etag": etag(7)}))


@router.patch("/{note_id}", response_model=Envelope[NoteOut])
@scope("notes:write")
async def change_note(note_id: UUID, wanted: NotePatch, principal: CurrentPrincipal) -> Response:
    return reply(None, meta={"named": sorted(wanted.model_fields_set)})


@router.put("/by-name/{name}")
@scope("notes:write")
@gives_name("name")
async def name_note(
    name: Annotated[str, Path(pattern="^[a-z]{1,9}$")], wanted: NotePatch, principal: CurrentPrincipal
) -> Response:
    return reply(None, meta={"name": name})


@router.get("/by-name/{name}")
@scope("notes:read")
async def read_named_note(name: Annotated[str, Path(pattern="^[a-z]{1,9}$")], principal: CurrentPrincipal) -> Response:
    return reply(None, meta={"name": name})


@router.put("/{note_id}")
@scope("notes:write")
async def replace_note(note_id: UUID, wanted: NotePatch, principal: CurrentPrincipal) -> Response:
    return reply(None)


@router.delete("/{note_id}")
@scope("notes:delete")
async def delete_note(
    note_id: UUID, principal: CurrentPrincipal, version: ExpectedVersion, minimal: WantsMinimal
) -> Response:
    return reply(None, meta={"version": version, "minimal": minimal})


@other.post("/quiet-notes", status_code=204)
@scope("notes:write")
async def create_note_quietly(write: Writing, wanted: NoteCreate) -> Response:
    await add(write.session, wanted)
    return write.no_content()


@other.post("/shared-notes", status_code=201)
@session_only("a sample of it")
async def create_shared_note(write: Writing, wanted: NoteCreate) -> Response:
    note = await add(write.session, wanted)
    return write.reply(SharedNoteOut(**note.model_dump(), workspace_id=WORKSPACE), status=201)


@other.post("/forgetful-notes")
@any_credential("a sample of it")
async def create_note_and_answer_elsewhere(write: Writing, wanted: NoteCreate) -> Response:
    return reply(await add(write.session, wanted))


@other.post("/attempts")
@public("it counts whoever fails to come in")
async def attempt(session: WriteSession, wanted: NoteCreate) -> Response:
    await add(session, wanted)
    raise Counted


@other.post("/renamed-notes")
@any_credential("a sample of it")
async def rename_notes(request: Request, write: Writing, wanted: Renaming) -> Response:
    for index, title in enumerate(wanted.titles):
        if index:
            await request.app.state.meeting.passed()
        changed = update(NOTE).where(NOTE.c.title == title).values(size=func.coalesce(NOTE.c.size, 0) + 1)
        await write.session.execute(changed)
    return write.reply(None)


@other.post("/unwritten-notes", status_code=201)
@any_credential("a sample of it")
async def create_unless_there(request: Request, write: Writing, wanted: NoteCreate) -> Response:
    if await write.session.scalar(select(NOTE.c.id).where(NOTE.c.title == wanted.title)):
        raise NoteExists
    await request.app.state.meeting.passed()
    return write.reply(await add(write.session, wanted), status=201)


@other.post("/overtaken-notes")
@any_credential("a sample of it")
async def add_and_be_overtaken(write: Writing, wanted: NoteCreate) -> Response:
    await add(write.session, wanted)
    raise Overtaken(retry_after=1)


@other.post("/crash")
@public("a bug does not ask who calls")
async def crash() -> Response:
    raise RuntimeError("the detail that nobody may see")


@other.get(
    "/secret",
    response_model=Envelope[None],
    responses={200: example(None, description="A secret.", headers=NEVER_STORED)},
)
@public("a sample of it")
async def read_secret() -> Response:
    return reply(None, headers=NO_STORE)


@other.get("/all-notes", response_model=Envelope[None])
@scope("notes:*")
async def count_all_notes(principal: CurrentPrincipal) -> Response:
    return reply(None)


@other.post("/all-notes")
@scope("notes:*")
async def change_all_notes(principal: CurrentPrincipal) -> Response:
    return reply(None)


@other.get("/internal")
async def for_services(caller: CallingService) -> Response:
    return reply(None)


@pytest.fixture(scope="session")
def database_url(postgres_url: str, worker_id: str) -> str:
    return create_database(postgres_url, f"chassis_web_{worker_id}")


def settings_of(url: str, **options: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), **{"pool_size": 4, **PATIENCE, **options})


@pytest.fixture(scope="session")
async def schema(database_url: str) -> None:
    database = open_database(settings_of(database_url), application_name="chassis-tests")
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE SCHEMA notes"))
        await connection.run_sync(Base.metadata.create_all)
    await database.close()


@pytest.fixture
def open_app(schema: None, database_url: str, test_gateway: TestGateway) -> Callable[..., Any]:
    """Makes the app of the service over a pool with these settings."""

    def open_app(url: str = database_url, **options: Any) -> Any:
        return create_app(
            title="Notes",
            routers=(router, other),
            health=Health(),
            state={
                "database": open_database(settings_of(url, **options), application_name="chassis-tests"),
                "identities": IdentityCache(IdentityVerifier(test_gateway.verify_key)),
                "idempotency_table": KEYS,
                "gate": Gate(),
                "meeting": Meeting(),
                "answers_by": answer_repeatedly,
            },
        )

    return open_app


@pytest.fixture
async def app(open_app: Callable[..., Any]) -> AsyncIterator[Any]:
    """The app on empty tables; at the end no connection may be checked out."""
    found = open_app()
    database: Database = found.state.database
    async with database.writer.begin() as connection:
        await connection.execute(text("TRUNCATE notes.note, notes.idempotency_key"))
    yield found
    assert (database.writer.pool.checkedout(), database.reader.pool.checkedout()) == (0, 0)
    await database.close()


@pytest.fixture
def gate(app: Any) -> Gate:
    """The gate of the app, closed."""
    found: Gate = app.state.gate
    found.open.clear()
    return found


@pytest.fixture
def caller(test_gateway: TestGateway) -> dict[str, str]:
    """The headers of a user."""
    return test_gateway.headers(uuid7())


@pytest.fixture
async def api(app: Any, caller: dict[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://notes", headers=caller
    ) as found:
        yield found


@pytest.fixture
def rows(app: Any) -> Callable[..., Awaitable[list[Any]]]:
    """Runs SQL beside the service and returns the rows."""

    async def rows(statement: str, **values: Any) -> list[Any]:
        async with app.state.database.writer.begin() as connection:
            result = await connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    return rows
