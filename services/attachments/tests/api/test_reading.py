"""Lists, single files and their bytes."""

import os
from uuid import UUID

import pytest
from attachments_service.locations import repository as locations
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from sqlalchemy import event

CONTENT = os.urandom(300_000)


async def test_list_attachments_200_pages_oldest_first(api, world, attach):
    files = [await attach(name=f"{number}.txt") for number in range(3)]
    first = await api.get(f"{world.path}?per_page=2", headers=world.headers("guest"))
    assert first.status_code == 200
    body = first.json()
    assert body["data"] == files[:2]
    assert {name: body["meta"][name] for name in ("page", "per_page", "total")} == {
        "page": 1,
        "per_page": 2,
        "total": 3,
    }
    assert 'rel="next"' in first.headers["link"]
    second = await api.get(f"{world.path}?per_page=2&page=2", headers=world.headers("guest"))
    assert second.json()["data"] == files[2:]


async def test_list_attachments_200_empty(api, world):
    answer = await api.get(world.path, headers=world.headers("guest"))
    assert (answer.status_code, answer.json()["data"], answer.json()["meta"]["total"]) == (200, [], 0)


async def test_list_attachments_304(api, world, attach):
    await attach()
    tag = (await api.get(world.path, headers=world.headers("guest"))).headers["etag"]
    same = await api.get(world.path, headers=world.headers("guest", **{"if-none-match": tag}))
    assert (same.status_code, same.content) == (304, b"")
    await attach()
    other = await api.get(world.path, headers=world.headers("guest", **{"if-none-match": tag}))
    assert other.status_code == 200


@pytest.mark.parametrize("query", ["per_page=101", "page=0", "sort=x", "page=1&page=2"])
async def test_r31_list_attachments_422(api, world, query):
    answer = await api.get(f"{world.path}?{query}", headers=world.headers("guest"))
    assert answer.status_code == 422


async def test_a_list_costs_the_same_queries_whatever_its_length(api, world, attach, database):
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    counts = []
    for number in (1, 3):
        for _ in range(number):
            await attach()
        statements.clear()
        for engine in (database.reader, database.writer):
            event.listen(engine.sync_engine, "before_cursor_execute", note)
        answer = await api.get(world.path, headers=world.headers("guest"))
        for engine in (database.reader, database.writer):
            event.remove(engine.sync_engine, "before_cursor_execute", note)
        counts.append((answer.json()["meta"]["total"], len(statements)))
    assert counts == [(1, 3), (4, 3)]


async def test_read_attachment_200_and_304(api, world, attach):
    data = await attach()
    path = f"/api/v1/attachments/{data['id']}"
    answer = await api.get(path, headers=world.headers("guest"))
    assert (answer.status_code, answer.json()["data"], answer.headers["etag"]) == (200, data, '"1"')
    same = await api.get(path, headers=world.headers("guest", **{"if-none-match": '"1"'}))
    assert same.status_code == 304


async def test_r59_content_is_a_download_and_nothing_else(api, world, attach):
    data = await attach(CONTENT, name="grü;ße.txt")
    answer = await api.get(f"/api/v1/attachments/{data['id']}/content", headers=world.headers("guest"))
    assert (answer.status_code, answer.content) == (200, CONTENT)
    wanted = {
        "etag": f'"{data["sha256"]}"',
        "content-length": "300000",
        "content-type": "application/octet-stream",
        "accept-ranges": "bytes",
        "content-disposition": "attachment; filename=\"gr___e.txt\"; filename*=UTF-8''gr%C3%BC%3B%C3%9Fe.txt",
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
        "vary": "Authorization",
    }
    assert {name: answer.headers[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=299990-", 206, 299_990, 300_000),
        ("bytes=-5", 206, 299_995, 300_000),
        ("bytes=100-999999999", 206, 100, 300_000),
        ("bytes=0-299999", 206, 0, 300_000),
        ("bytes=0-1,5-6", 200, 0, 300_000),
        ("bytes=9-3", 200, 0, 300_000),
        ("lines=0-1", 200, 0, 300_000),
    ],
)
async def test_r59_ranges(api, world, attach, asked, status, first, last):
    data = await attach(CONTENT)
    headers = world.headers("guest", range=asked)
    answer = await api.get(f"/api/v1/attachments/{data['id']}/content", headers=headers)
    assert (answer.status_code, answer.content) == (status, CONTENT[first:last])
    assert answer.headers["content-length"] == str(last - first)
    expected = f"bytes {first}-{last - 1}/300000" if status == 206 else None
    assert answer.headers.get("content-range") == expected


@pytest.mark.parametrize("asked", ["bytes=300000-", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
async def test_r59_range_not_satisfiable_416(api, world, attach, asked):
    data = await attach(CONTENT)
    headers = world.headers("guest", range=asked)
    answer = await api.get(f"/api/v1/attachments/{data['id']}/content", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.headers["content-range"] == "bytes */300000"


async def test_read_content_304_and_if_range(api, world, attach):
    data = await attach(b"0123456789")
    path, tag = f"/api/v1/attachments/{data['id']}/content", f'"{data["sha256"]}"'
    same = await api.get(path, headers=world.headers("guest", **{"if-none-match": tag}))
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    part = await api.get(path, headers=world.headers("guest", **{"range": "bytes=1-2", "if-range": tag}))
    assert (part.status_code, part.content) == (206, b"12")
    whole = await api.get(path, headers=world.headers("guest", **{"range": "bytes=1-2", "if-range": '"other"'}))
    assert (whole.status_code, whole.content) == (200, b"0123456789")


async def test_head_of_content_has_no_body(api, world, attach):
    data = await attach(CONTENT)
    answer = await api.head(f"/api/v1/attachments/{data['id']}/content", headers=world.headers("guest"))
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "300000")


async def test_head_of_content_does_not_open_the_storage(api, world, attach, objects):
    data = await attach(CONTENT)
    objects()[0].unlink()
    headers = world.headers("guest")
    for asked, status, length in (({}, 200, "300000"), ({"range": "bytes=0-9"}, 206, "10")):
        answer = await api.head(f"/api/v1/attachments/{data['id']}/content", headers={**headers, **asked})
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (status, b"", length)
        assert answer.headers["etag"] == f'"{data["sha256"]}"'


async def test_bytes_that_are_gone_are_a_503_and_no_crash(api, world, attach, objects):
    data = await attach(CONTENT)
    objects()[0].unlink()
    answer = await api.get(f"/api/v1/attachments/{data['id']}/content", headers=world.headers("guest"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"


async def test_delete_attachment_200_then_404(api, world, attach, published, row_count):
    data = await attach()
    path = f"/api/v1/attachments/{data['id']}"
    answer = await api.delete(path, headers=world.headers("member"))
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert await row_count() == 0
    for gone in (path, f"{path}/content"):
        assert (await api.get(gone, headers=world.headers("member"))).status_code == 404
    assert (await api.delete(path, headers=world.headers("member"))).status_code == 404
    created, deleted = await published()
    assert (created.type, deleted.type) == ("attachment.created.v1", "attachment.deleted.v1")
    assert (deleted.stream_id, deleted.sequence, deleted.data["version"]) == (UUID(data["id"]), 2, 2)
    assert deleted.data["resource"] == data


async def test_delete_attachment_204_when_little_is_wanted(api, world, attach):
    data = await attach()
    headers = world.headers("member", prefer="return=minimal")
    answer = await api.delete(f"/api/v1/attachments/{data['id']}", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(("more", "status"), [({}, 200), ({"prefer": "return=minimal"}, 204)])
async def test_r32_a_repeated_delete_gets_the_first_answer(api, world, attach, published, more, status):
    """The answer to a lost DELETE is what the key is for; it shows nothing of the file."""
    data = await attach()
    headers = world.headers("member", **{"idempotency-key": f"delete-{status}", **more})
    path = f"/api/v1/attachments/{data['id']}"
    first = await api.delete(path, headers=headers)
    again = await api.delete(path, headers=headers)
    assert (first.status_code, again.status_code, again.content) == (status, status, first.content)
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert len(await published()) == 2
    for other in (world.headers("member"), world.headers("owner", **{"idempotency-key": f"delete-{status}"})):
        assert (await api.delete(path, headers=other)).status_code == 404
    reused = await api.delete(f"/api/v1/attachments/{world.task_id}", headers=headers)
    assert (reused.status_code, reused.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_r32_an_upload_is_not_replayed_to_somebody_who_has_left(api, world, database, row_count):
    headers = world.headers("member", **{"idempotency-key": "upload-then-leave"})
    files = {"file": ("a.txt", b"hello", "text/plain")}
    assert (await api.post(world.path, files=files, headers=headers)).status_code == 201
    member = {"workspace_id": world.workspace_id, "user_id": world.people["member"], "role": "member"}
    async with transaction(database) as session:
        await locations.put_membership(session, {**member, "changed_seq": 99, "removed": True})
    world.people["member"] = uuid7()  # nor does the tasks service know a member of that id
    again = await api.post(world.path, files=files, headers=headers)
    assert (again.status_code, again.json()["data"]) == (404, None)
    assert await row_count() == 1


@pytest.mark.parametrize("bad", ["not-an-id", "0", "0199d3b2-7a52-7f0e-8f3a-000000000000"])
async def test_an_id_that_names_nothing_is_404(api, world, bad):
    for path in (
        f"/api/v1/attachments/{bad}",
        f"/api/v1/attachments/{bad}/content",
        f"/api/v1/tasks/{bad}/attachments",
    ):
        answer = await api.get(path, headers=world.headers("member"))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
