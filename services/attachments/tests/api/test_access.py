"""Who may do what: by the projection, and on a miss by one question to the tasks service (R35)."""

import asyncio
import time

import pytest
from attachments_service.attachments.policies import can_delete
from attachments_service.locations import repository as locations
from attachments_service.locations.schemas import TaskAccess
from chassis.db.transactions import transaction
from chassis.ids import uuid7

FILE = {"file": ("a.txt", b"x", "text/plain")}


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("person", "read", "upload", "delete"),
    [
        ("owner", 200, 201, 200),
        ("admin", 200, 201, 200),
        ("member", 200, 201, 200),
        ("colleague", 200, 201, 403),
        ("guest", 200, 403, 403),
        ("stranger", 404, 404, 404),
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_r35_roles(
    api, world, unknown_world, attach, database, row_count, published, objects, person, read, upload, delete, known
):
    """The file is the member's. With and without the projection the decisions are the same."""
    data = await attach()
    if not known:
        await forget(database)
    before = (await row_count(), len(await published()), len(objects()))
    one = f"/api/v1/attachments/{data['id']}"
    for path in (world.path, one, f"{one}/content"):
        assert (await api.get(path, headers=world.headers(person))).status_code == read
    uploaded = await api.post(world.path, files=FILE, headers=world.headers(person))
    assert uploaded.status_code == upload
    if upload != 201:
        assert codes(uploaded) == (upload, ["FORBIDDEN" if upload == 403 else "NOT_FOUND"])
        assert (await row_count(), len(await published()), len(objects())) == before
    before = (await row_count(), len(await published()), len(objects()))
    deleted = await api.delete(one, headers=world.headers(person))
    assert deleted.status_code == delete
    if delete != 200:
        assert codes(deleted) == (delete, ["FORBIDDEN" if delete == 403 else "NOT_FOUND"])
        assert (await row_count(), len(await published()), len(objects())) == before


async def forget(database):
    async with transaction(database) as session:
        await session.execute(locations.membership.delete())
        await session.execute(locations.location.delete())


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_anonymous_callers_get_401_on_a_task(api, world, method, row_count):
    answer = await api.request(method, world.path)
    assert (*codes(answer), answer.headers["www-authenticate"]) == (401, ["UNAUTHENTICATED"], "Bearer")
    assert await row_count() == 0


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("GET", "/content"), ("DELETE", "")])
async def test_anonymous_callers_get_401_on_a_file(api, world, attach, method, suffix, row_count):
    data = await attach()
    answer = await api.request(method, f"/api/v1/attachments/{data['id']}{suffix}")
    assert codes(answer) == (401, ["UNAUTHENTICATED"])
    assert await row_count() == 1


async def test_r21_a_bearer_token_opens_nothing_here(api, world):
    identity = world.headers("member")["x-taskloom-identity"]
    answer = await api.get(world.path, headers={"authorization": f"Bearer {identity}"})
    assert codes(answer) == (401, ["UNAUTHENTICATED"])


async def test_r27_hidden_and_absent_are_the_same_bytes(api, world, attach):
    data = await attach()
    headers = world.headers("stranger", **{"x-request-id": "request-88"})
    pairs = [
        (f"/api/v1/attachments/{data['id']}", f"/api/v1/attachments/{uuid7()}"),
        (world.path, f"/api/v1/tasks/{uuid7()}/attachments"),
    ]
    for hidden, absent in pairs:
        first, second = await api.get(hidden, headers=headers), await api.get(absent, headers=headers)
        assert (first.status_code, second.status_code) == (404, 404)
        assert first.content == second.content
        assert {**first.headers, "server-timing": ""} == {**second.headers, "server-timing": ""}


async def test_a_refused_caller_s_upload_is_not_read(api, world):
    async def never():
        raise AssertionError("the body was read")
        yield b""

    for person, status in (("guest", 403), ("stranger", 404)):
        headers = world.headers(person, **{"content-type": "multipart/form-data; boundary=x"})
        assert (await api.post(world.path, content=never(), headers=headers)).status_code == status


async def test_what_the_projection_knows_needs_no_question(api, world, attach, tasks_api):
    await attach()
    await api.get(world.path, headers=world.headers("guest"))
    assert tasks_api.calls == []


async def test_a_miss_asks_once_with_the_caller_s_own_identity(api, unknown_world, tasks_api):
    answer = await api.post(unknown_world.path, files=FILE, headers=unknown_world.headers("member"))
    assert answer.status_code == 201
    assert answer.json()["data"]["workspace_id"] == str(unknown_world.workspace_id)
    assert tasks_api.calls == [(str(unknown_world.task_id), unknown_world.people["member"])]


async def test_a_task_is_known_but_its_new_member_is_not(api, world, database, tasks_api):
    async with transaction(database) as session:
        await session.execute(
            locations.membership.delete().where(locations.membership.c.user_id == world.people["member"])
        )
    assert (await api.get(world.path, headers=world.headers("member"))).status_code == 200
    assert len(tasks_api.calls) == 1


async def test_a_task_that_nobody_knows_is_404_after_one_question(api, unknown_world, tasks_api):
    answer = await api.get(f"/api/v1/tasks/{uuid7()}/attachments", headers=unknown_world.headers("member"))
    assert (codes(answer), len(tasks_api.calls)) == ((404, ["NOT_FOUND"]), 1)


async def test_a_deleted_task_is_404_without_a_question(api, world, database, tasks_api):
    async with transaction(database) as session:
        place = {"task_id": world.task_id, "workspace_id": world.workspace_id, "changed_seq": 11, "deleted": True}
        await locations.put_locations(session, [place])
    assert (await api.get(world.path, headers=world.headers("owner"))).status_code == 404
    assert tasks_api.calls == []


async def test_tasks_down_and_a_miss_is_503(lonely_api, unknown_world, row_count, objects, published):
    for method, more in (("GET", {}), ("POST", {"files": FILE})):
        answer = await lonely_api.request(method, unknown_world.path, headers=unknown_world.headers("member"), **more)
        assert codes(answer) == (503, ["SERVICE_UNAVAILABLE"])
        assert answer.headers["retry-after"] == "1"
    assert (await row_count(), objects(), await published()) == (0, [], [])


async def test_tasks_down_and_what_is_known_goes_on(lonely_api, world):
    created = await lonely_api.post(world.path, files=FILE, headers=world.headers("member"))
    assert created.status_code == 201
    path = created.headers["location"]
    assert (await lonely_api.get(f"{path}/content", headers=world.headers("guest"))).content == b"x"
    assert (await lonely_api.delete(path, headers=world.headers("admin"))).status_code == 200


async def test_tasks_that_do_not_answer_within_a_second_are_down(api, unknown_world, tasks_api):
    tasks_api.hold = asyncio.Event()
    started = time.monotonic()
    answer = await api.get(unknown_world.path, headers=unknown_world.headers("member"))
    assert codes(answer) == (503, ["SERVICE_UNAVAILABLE"])
    assert 0.9 < time.monotonic() - started < 2.5
    tasks_api.hold.set()
    assert len(tasks_api.calls) == 1


async def test_tasks_that_answer_nonsense_are_down(api, unknown_world, tasks_api):
    tasks_api.broken = True
    answer = await api.get(unknown_world.path, headers=unknown_world.headers("member"))
    assert codes(answer) == (503, ["SERVICE_UNAVAILABLE"])


@pytest.mark.parametrize(
    ("can_edit", "can_manage", "own", "allowed"),
    [
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, False, True, False),
        (False, False, False, False),
    ],
)
def test_r35_can_delete(can_edit, can_manage, own, allowed):
    caller, other = uuid7(), uuid7()
    access = TaskAccess(uuid7(), uuid7(), can_edit, can_manage)
    assert can_delete(access, created_by=caller if own else other, user_id=caller) is allowed
