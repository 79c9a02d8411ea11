"""Files of an API token that is restricted to a workspace or to projects (A8): a table of every operation."""

import pytest
from attachments_service.locations import repository as locations
from attachments_service.main import openapi_document
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from sqlalchemy import event

SCOPES = ("tasks:read", "tasks:write", "tasks:delete")
FILE = {"file": ("b.txt", b"y", "text/plain")}
REQUEST_ID = "the-same-for-all"
CALLERS = {
    "unrestricted": (lambda _: {}, True),
    "own project": (lambda world: {"project_ids": [world.project_id]}, True),
    "own project and another": (lambda world: {"project_ids": [uuid7(), world.project_id]}, True),
    "another project": (lambda _: {"project_ids": [uuid7()]}, False),
    "no project": (lambda _: {"project_ids": []}, False),
    "own workspace": (lambda world: {"workspace_id": world.workspace_id}, True),
    "another workspace": (lambda _: {"workspace_id": uuid7()}, False),
    "own project in another workspace": (
        lambda world: {"workspace_id": uuid7(), "project_ids": [world.project_id]},
        False,
    ),
    "another project in the own workspace": (
        lambda world: {"workspace_id": world.workspace_id, "project_ids": [uuid7()]},
        False,
    ),
}
OPERATIONS = {
    "GET /api/v1/tasks/{task_id}/attachments": {},
    "POST /api/v1/tasks/{task_id}/attachments": {"files": FILE},
    "GET /api/v1/attachments/{attachment_id}": {},
    "GET /api/v1/attachments/{attachment_id}/content": {},
    "DELETE /api/v1/attachments/{attachment_id}": {},
}


def headers_of(world, caller, **more):
    restriction, _ = CALLERS[caller]
    user = world.people["owner"]
    return {**world.gateway.token_headers(user, *SCOPES, **restriction(world)), "x-request-id": REQUEST_ID, **more}


async def forget_place(database, how):
    """Leave of the projection all, nothing, or what was taken in before projects were kept."""
    async with transaction(database) as session:
        if how == "unknown":
            await session.execute(locations.location.delete())
        if how == "without its project":
            await session.execute(locations.location.update().values(project_id=None))


def test_a8_the_table_has_every_operation():
    paths = openapi_document()["paths"]
    assert {f"{method.upper()} {path}" for path, item in paths.items() for method in item} == set(OPERATIONS)


@pytest.mark.parametrize("known", ["known", "unknown", "without its project"])
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a8_files_beyond_the_restriction_are_not_there(
    api, world, attach, database, row_count, published, operation, caller, known
):
    file = await attach()
    await forget_place(database, known)
    before = (await row_count(), len(await published()))
    method, path = operation.split(" ")
    headers, options = headers_of(world, caller), OPERATIONS[operation]
    answer = await api.request(
        method, path.format(task_id=world.task_id, attachment_id=file["id"]), headers=headers, **options
    )
    if CALLERS[caller][1]:
        assert answer.status_code == (201 if method == "POST" else 200)
        return
    absent = await api.request(method, path.format(task_id=uuid7(), attachment_id=uuid7()), headers=headers, **options)
    assert (answer.status_code, answer.content) == (404, absent.content)
    assert (await row_count(), len(await published())) == before


@pytest.mark.parametrize("caller", ["unrestricted", "own project", "own workspace"])
async def test_a8_within_the_restriction_one_statement_decides_and_nobody_is_asked(
    api, world, attach, tasks_api, database, caller
):
    await attach()
    statements = []
    for engine in (database.reader, database.writer):
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    assert (await api.get(world.path, headers=headers_of(world, caller))).status_code == 200
    assert len([one for one in statements if "task_location" in one]) == 1
    assert tasks_api.calls == []


async def test_r32_a_first_answer_is_not_replayed_to_another_token(api, world, attach):
    """Each token has keys of its own: neither an upload nor a deletion is told to another one."""
    file = await attach()
    path, key = f"/api/v1/attachments/{file['id']}", {"idempotency-key": "k"}
    wide = headers_of(world, "unrestricted", **key)
    first = await api.delete(path, headers=wide)
    again = await api.delete(path, headers=wide)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for caller in ("another project", "another workspace", "unrestricted"):
        answer = await api.delete(path, headers=headers_of(world, caller, **key))
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (404, False)


@pytest.mark.parametrize("bot", [False, True])
async def test_the_events_tell_who_acted_and_through_what(api, world, published, bot):
    token, user = uuid7(), world.people["owner"]
    headers = world.gateway.token_headers(user, *SCOPES, token_id=token, bot=bot)
    made = await api.post(world.path, files=FILE, headers=headers)
    assert (await api.delete(made.headers["location"], headers=headers)).status_code == 200
    kind, via = ("service_account", "bot") if bot else ("user", "token")
    actor = {"type": kind, "id": str(user), "via": via, "token_id": str(token)}
    assert [one.data["actor"] for one in await published()] == [actor, actor]
