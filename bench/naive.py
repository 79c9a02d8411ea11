"""The naive build: what one writes first, with nothing of ours around it but the tables.

A gateway (FastAPI and httpx2) in front of a service (FastAPI, SQLAlchemy's ORM, Pydantic): the same reads and writes as
the floor's, and no token, limit, permission, envelope or event. Started as `naive.py proxy PORT UPSTREAM` and as
`naive.py service PORT DATABASE_URL`.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import httpx2
import tasks_service.models  # noqa: F401 - every table, so that foreign keys lead somewhere
import uvicorn
from chassis.clock import utcnow
from chassis.ids import uuid7
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from tasks_service.changes.models import Change, ChangeCounter
from tasks_service.projects.models import Project
from tasks_service.tasks.models import Task
from tasks_service.workspaces.models import Member, Workspace


class TaskCreate(BaseModel):
    title: str


class TaskOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    workspace_id: UUID
    project_id: UUID
    number: int
    title: str
    description: str | None
    status: str
    status_category: str
    priority: str
    category_id: UUID | None
    labels: list[UUID]
    parent_id: UUID | None
    subtasks_total: int
    subtasks_done: int
    assigned_to: UUID | None
    assignees: list[UUID]
    completion_policy: str
    start_date: date | None
    deadline: date | None
    estimate_minutes: int | None
    due_kind: str | None
    due_date: date | None
    due_at: datetime | None
    due_timezone: str | None
    position: str
    external_source: str | None
    external_id: str | None
    custom: dict[str, Any]
    completed_at: datetime | None
    completed_by: UUID | None
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class TaskPage(BaseModel):
    data: list[TaskOut]
    total: int


def service(url: str) -> FastAPI:
    """Return the service."""
    app = FastAPI()
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=10)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def open_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    session_of_request = Annotated[AsyncSession, Depends(open_session)]
    user_of_request = Annotated[UUID, Header(alias="x-user")]

    @app.get("/api/v1/tasks/{task_id}", response_model=TaskOut)
    async def read_task(task_id: UUID, session: session_of_request, user: user_of_request) -> Task:
        task = await session.scalar(_seen_by(user).where(Task.id == task_id))
        if task is None:
            raise HTTPException(404)
        return task

    @app.get("/api/v1/tasks")
    async def list_tasks(status: str, per_page: int, session: session_of_request, user: user_of_request) -> TaskPage:
        query = _seen_by(user).where(Task.status == status)
        tasks = await session.scalars(query.order_by(Task.id.desc()).limit(per_page))
        total = await session.scalar(query.with_only_columns(func.count(Task.id)))
        return TaskPage(data=[TaskOut.model_validate(task) for task in tasks], total=total or 0)

    @app.post("/api/v1/tasks", response_model=TaskOut, status_code=201)
    async def create_task(body: TaskCreate, session: session_of_request, user: user_of_request) -> Task:
        task = await _create(session, user, body.title)
        await session.commit()
        return task

    return app


def _seen_by(user: UUID) -> Select[Task]:
    member = select(Member.workspace_id).where(Member.user_id == user)
    return select(Task).where(Task.workspace_id.in_(member), Task.deleted_at.is_(None))


async def _create(session: AsyncSession, user: UUID, title: str) -> Task:
    workspace = Project.workspace_id == Workspace.id
    query = select(Project).join(Workspace, workspace).where(Workspace.personal_owner_id == user, Project.is_inbox)
    inbox = (await session.scalars(query)).one()
    now = utcnow()
    task = Task(id=uuid7(), workspace_id=inbox.workspace_id, project_id=inbox.id, title=title, status="todo")
    task.priority, task.created_by, task.version, task.created_at, task.updated_at = "none", user, 1, now, now
    session.add(task)
    await session.flush()
    await session.refresh(task)
    await _log(session, task)
    return task


async def _log(session: AsyncSession, task: Task) -> None:
    counter = await session.get_one(ChangeCounter, task.workspace_id, with_for_update=True)
    counter.last_seq += 1
    audience = await session.scalars(select(Member.user_id).where(Member.workspace_id == task.workspace_id))
    session.add(
        Change(
            workspace_id=task.workspace_id,
            seq=counter.last_seq,
            event_id=uuid7(),
            type="task.created.v1",
            occurred_at=task.created_at,
            entity_type="task",
            entity_id=task.id,
            project_id=task.project_id,
            version=1,
            actor={},
            changes=[],
            resource=TaskOut.model_validate(task).model_dump(mode="json"),
            audience=list(audience),
            request_id="naive",
            state="sent",
        )
    )


def gateway(upstream: str) -> FastAPI:
    """Return what passes everything on."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(base_url=upstream, timeout=30, trust_env=False) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def pass_on(request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        answer = await request.app.state.client.request(
            request.method,
            request.url.path,
            params=request.query_params,
            headers=headers,
            content=await request.body(),
        )
        return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])

    return app


if __name__ == "__main__":
    uvicorn.run(
        gateway(sys.argv[3]) if sys.argv[1] == "proxy" else service(sys.argv[3]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        access_log=False,
        log_level="critical",
    )
