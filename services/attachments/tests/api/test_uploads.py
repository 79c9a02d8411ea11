"""Files on their way in."""

import asyncio
import hashlib
import os
import socket
import tracemalloc

import httpx2
import pytest
from attachments_service.attachments.jobs import remove_orphans
from attachments_service.main import create_app
from attachments_service.settings import AttachmentsSettings
from attachments_service.storage.store import ObstoreStorage
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.web.health import Health
from dirty_equals import IsNow, IsStr
from sqlalchemy import text
from testkit.waiting import eventually

MIB = 1024 * 1024
MAX_BYTES = 3 * MIB
MAX_PER_TASK = 5
FORM = "multipart/form-data; boundary=edge"
HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
END = b"\r\n--edge--\r\n"


@pytest.fixture
async def server(app, serve):
    async with serve(app) as url:
        yield url


async def test_create_attachment_201_stores_bytes_row_and_event(api, world, objects, published):
    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    files = {"file": ("grüße.txt", content, "application/pdf")}
    answer = await api.post(world.path, files=files, headers=world.headers("member", **{"x-request-id": "request-77"}))
    assert answer.status_code == 201
    body = answer.json()
    data = body["data"]
    assert data == {
        "id": IsStr(regex="[0-9a-f-]{36}"),
        "task_id": str(world.task_id),
        "workspace_id": str(world.workspace_id),
        "name": "grüße.txt",
        "size": 100_000,
        "sha256": digest,
        "content_type": "application/octet-stream",
        "created_by": str(world.people["member"]),
        "version": 1,
        "created_at": IsNow(iso_string=True, tz="UTC", delta=30),
    }
    assert body["success"] is True
    assert answer.headers["location"] == f"/api/v1/attachments/{data['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "private, no-cache"
    (stored,) = objects()
    assert (stored.name, stored.read_bytes()) == (data["id"], content)
    (event,) = await published()
    assert (event.type, str(event.subject), str(event.stream_id)) == ("attachment.created.v1", data["id"], data["id"])
    assert (event.sequence, event.state) == (1, "new")
    assert event.data["resource"] == data
    assert event.data["workspace_id"] == str(world.workspace_id)
    assert event.data["actor"] == {"type": "user", "id": str(world.people["member"]), "via": "session"}
    members = {str(user) for person, user in world.people.items() if person != "stranger"}
    assert event.data["audience"] == sorted(members)
    assert event.data["request_id"] == "request-77"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\evil.exe", "evil.exe"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("u\u0308.txt", "\u00fc.txt"),
        ("漢字.txt", "漢字.txt"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
    ],
)
async def test_r56_names_are_made_safe(attach, sent, kept):
    assert (await attach(name=sent))["name"] == kept


async def test_r56_a_nul_in_the_name_is_dropped(api, world):
    body = HEAD.replace(b"a.bin", b"a\0b.txt") + b"x" + END
    answer = await api.post(world.path, content=body, headers=world.headers("member", **{"content-type": FORM}))
    assert (answer.status_code, answer.json()["data"]["name"]) == (201, "ab.txt")


@pytest.mark.parametrize("name", ["..", "\0", "a/", ""])
async def test_create_attachment_422_file_name_invalid(api, world, objects, row_count, published, name):
    body = HEAD.replace(b"a.bin", name.encode()) + b"x" + END
    answer = await api.post(world.path, content=body, headers=world.headers("member", **{"content-type": FORM}))
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [("file", "FILE_NAME_INVALID")]
    assert (objects(), await row_count(), await published()) == ([], 0, [])


async def test_r56_dangerous_types_become_bytes(api, world):
    files = {"file": ("a.html", b"<script>alert(1)</script>", "text/html")}
    answer = await api.post(world.path, files=files, headers=world.headers("member"))
    assert answer.json()["data"]["content_type"] == "application/octet-stream"


async def test_an_empty_file_can_be_attached_and_read(api, world, attach):
    data = await attach(b"")
    assert (data["size"], data["sha256"]) == (0, hashlib.sha256(b"").hexdigest())
    answer = await api.get(f"/api/v1/attachments/{data['id']}/content", headers=world.headers("guest"))
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("multipart/form-data", HEAD + b"x" + END, 400, "MALFORMED_FORM"),
        (FORM, b"", 400, "MALFORMED_FORM"),
        (FORM, b"\0" * 1000, 400, "MALFORMED_FORM"),
        (FORM, HEAD + b"cut short", 400, "MALFORMED_FORM"),
        (FORM, HEAD[:40], 400, "MALFORMED_FORM"),
        (FORM, b"--edge--\r\n", 422, "REQUIRED"),
        (FORM, HEAD.replace(b'"file"', b'"other"') + b"x" + END, 422, "UNKNOWN_FIELD"),
        (FORM, HEAD + b"x\r\n" + HEAD + b"y" + END, 422, "REPEATED_FIELD"),
        ("multipart/form-data; boundary=\xff", b"x", 400, "MALFORMED_FORM"),
    ],
)
async def test_r27_a_bad_form_is_never_a_5xx(
    api, world, objects, row_count, published, content_type, body, status, code
):
    headers = world.headers("member") | {"content-type": content_type.encode("latin-1")}
    answer = await api.post(world.path, content=body, headers=headers)
    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (status, [code])
    assert (objects(), await row_count(), await published()) == ([], 0, [])


async def test_create_attachment_422_unknown_parameter(api, world):
    answer = await api.post(f"{world.path}?x=1", files={"file": ("a", b"x")}, headers=world.headers("member"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "UNKNOWN_PARAMETER")


async def test_i3_the_largest_file_passes_and_one_byte_more_does_not(api, world, objects, row_count, published):
    exact = await api.post(world.path, files={"file": ("a", b"x" * MAX_BYTES)}, headers=world.headers("member"))
    assert exact.status_code == 201
    over = await api.post(world.path, files={"file": ("a", b"x" * (MAX_BYTES + 1))}, headers=world.headers("member"))
    assert (over.status_code, over.json()["errors"][0]["code"]) == (413, "FILE_TOO_LARGE")
    assert (len(objects()), await row_count(), len(await published())) == (1, 1, 1)


async def test_i3_an_announced_size_is_refused_before_the_body_is_read(api, world, objects):
    async def never():
        raise AssertionError("the body was read")
        yield b""

    headers = world.headers("member", **{"content-type": FORM, "content-length": str(MAX_BYTES + MIB)})
    answer = await api.post(world.path, content=never(), headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "FILE_TOO_LARGE")
    assert objects() == []


async def test_i3_a_chunked_body_is_cut_at_the_limit(server, world, objects, row_count):
    """The refusal comes while the client still sends; nothing waits for the end of the body."""
    host, port = server.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    identity = world.headers("member")["x-taskloom-identity"]
    head = f"POST {world.path} HTTP/1.1\r\nHost: x\r\nX-Taskloom-Identity: {identity}\r\nContent-Type: {FORM}\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk_of(HEAD))
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    sent = 0
    while not answer.done():
        sent += 65536
        assert sent < 20 * MIB
        writer.write(chunk_of(b"x" * 65536))
        await writer.drain()
        await asyncio.sleep(0)
    assert await answer == b"HTTP/1.1 413 Request Entity Too Large\r\n"
    writer.close()
    assert (objects(), await row_count()) == ([], 0)


def chunk_of(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_i3_a_chunked_body_over_the_limit_gets_its_413(server, world):
    async def sent():
        yield HEAD
        for _ in range(4):
            yield b"x" * MIB
        yield END

    async with httpx2.AsyncClient(timeout=60) as client:
        headers = world.headers("member", **{"content-type": FORM})
        answer = await client.post(f"{server}{world.path}", content=sent(), headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "FILE_TOO_LARGE")


async def test_a_client_that_goes_away_leaves_nothing(server, world, objects, row_count, folder):
    host, port = server.removeprefix("http://").split(":")
    identity = world.headers("member")["x-taskloom-identity"]
    head = f"POST {world.path} HTTP/1.1\r\nHost: x\r\nX-Taskloom-Identity: {identity}\r\nContent-Type: {FORM}\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + HEAD + b"x" * 100_000)

    async def quiet():
        return objects() == [] and await row_count() == 0

    assert await eventually(quiet)


async def test_i3_a_task_has_so_many_files_and_no_more(api, world, attach, objects, row_count, published):
    for _ in range(MAX_PER_TASK):
        await attach()
    answer = await api.post(world.path, files={"file": ("a", b"x")}, headers=world.headers("member"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "TOO_MANY_ATTACHMENTS")
    assert (len(objects()), await row_count(), len(await published())) == (MAX_PER_TASK,) * 3


async def test_i3_the_limit_holds_when_all_come_at_once(api, world, row_count, objects):
    answers = await asyncio.gather(
        *(
            api.post(world.path, files={"file": ("a", b"x")}, headers=world.headers("member"))
            for _ in range(MAX_PER_TASK * 2)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] * MAX_PER_TASK + [409] * MAX_PER_TASK
    assert (await row_count(), len(objects())) == (MAX_PER_TASK, MAX_PER_TASK)


async def test_r56_twenty_mebibytes_in_bounded_memory(make_settings, tasks_server, database, storage, world, contract):
    """The peak is below the file's size, and what passes through is at most a few parts of the storage."""
    settings = make_settings(tasks_server[1])
    large = AttachmentsSettings(tasks_url=tasks_server[1], max_bytes=25 * MIB)
    settings = type(settings)(**{**vars(settings), "attachments": large})
    app = create_app(settings, database=database, storage=storage, health=Health())
    digest = hashlib.sha256()

    async def sent():
        yield HEAD
        for number in range(320):
            chunk = bytes([number % 256]) * 65536
            digest.update(chunk)
            yield chunk
        yield END

    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://attachments") as client,
    ):
        headers = world.headers("member", **{"content-type": FORM})
        await client.get(world.path, headers=headers)
        tracemalloc.start()
        answer = await client.post(world.path, content=sent(), headers=headers)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.status_code == 201
    assert (answer.json()["data"]["size"], answer.json()["data"]["sha256"]) == (20 * MIB, digest.hexdigest())
    assert peak < 8 * MIB


async def test_r32_a_repeated_upload_gets_the_first_answer(api, world, objects, row_count, published):
    headers = world.headers("member", **{"idempotency-key": "upload-1"})
    first = await api.post(world.path, files={"file": ("a.txt", b"same", "text/plain")}, headers=headers)
    again = await api.post(world.path, files={"file": ("a.txt", b"same", "text/plain")}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (len(objects()), await row_count(), len(await published())) == (1, 1, 1)


@pytest.mark.parametrize("other", [("a.txt", b"other", "text/plain"), ("b.txt", b"same", "text/plain")])
async def test_r32_a_key_stands_for_one_file(api, world, objects, row_count, other):
    headers = world.headers("member", **{"idempotency-key": "upload-1"})
    await api.post(world.path, files={"file": ("a.txt", b"same", "text/plain")}, headers=headers)
    answer = await api.post(world.path, files={"file": other}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (len(objects()), await row_count()) == (1, 1)


async def test_r32_a_bad_key_is_refused_and_leaves_nothing(api, world, objects, row_count):
    headers = world.headers("member", **{"idempotency-key": "x" * 256})
    answer = await api.post(world.path, files={"file": ("a.txt", b"same")}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_INVALID")
    assert (objects(), await row_count()) == ([], 0)


async def test_r32_one_key_at_once_makes_one_file(api, world, objects, row_count):
    headers = world.headers("member", **{"idempotency-key": "upload-1"})
    answers = await asyncio.gather(
        *(api.post(world.path, files={"file": ("a.txt", b"same")}, headers=headers) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert (len(objects()), await row_count()) == (1, 1)


async def test_r60_a_crash_between_bytes_and_row_leaves_an_orphan_that_is_collected(
    api, world, attach, database, storage, objects
):
    kept = await attach(b"kept")
    async with database.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE attachments.attachment ADD CONSTRAINT broken CHECK (size <> 6)"))
    try:
        # The statement fails after the bytes are stored, as a power cut would fail it; the bytes stay.
        answer = await api.post(world.path, files={"file": ("b", b"orphan")}, headers=world.headers("member"))
    finally:
        async with database.writer.begin() as connection:
            await connection.execute(text("ALTER TABLE attachments.attachment DROP CONSTRAINT broken"))
    assert answer.status_code == 422
    (orphan,) = [path for path in objects() if path.name != kept["id"]]
    assert orphan.read_bytes() == b"orphan"
    unfinished = orphan.with_name(f"{orphan.name}#1")
    unfinished.write_bytes(b"half")
    await collect(database, storage)
    assert len(objects()) == 3
    for path in objects():
        age(path, hours=25)
    await collect(database, storage)
    assert [path.name for path in objects()] == [kept["id"]]
    await collect(database, storage)
    assert [path.name for path in objects()] == [kept["id"]]


class WatchedStorage(ObstoreStorage):
    """The real one, which notes how many connections to the database are in use while it works."""

    def __init__(self, url, database):
        super().__init__(url)
        self._pool = database.writer.pool
        self.in_use = []

    async def delete(self, object_ids):
        self.in_use.append(("delete", len(object_ids), self._pool.checkedout()))
        await super().delete(object_ids)

    async def older_than(self, moment):
        async for found in super().older_than(moment):
            self.in_use.append(("list", len(found), self._pool.checkedout()))
            yield found

    async def sweep(self, moment):
        self.in_use.append(("sweep", 0, self._pool.checkedout()))
        await super().sweep(moment)


async def test_r60_no_transaction_waits_for_the_storage(database, folder, objects, attach):
    storage = WatchedStorage(folder.as_uri(), database)
    await attach()
    for _ in range(3):
        await storage.put(uuid7(), one_chunk(b"orphan"))
    for path in objects():
        age(path, hours=25)
    await collect(database, storage)
    assert storage.in_use == [("list", 4, 0), ("delete", 3, 0), ("sweep", 0, 0)]
    assert len(objects()) == 1


async def test_objects_are_deleted_whether_or_not_others_are_gone(storage, objects):
    ids = [uuid7() for _ in range(3)]
    for object_id in ids[:2]:
        await storage.put(object_id, one_chunk(b"x"))
    await storage.delete([ids[2], *ids[:2]])
    assert objects() == []
    await storage.delete([])


async def one_chunk(content):
    yield content


async def collect(database, storage):
    async with transaction(database) as session:
        await remove_orphans(session, storage)


def age(path, *, hours):
    moment = path.stat().st_mtime - hours * 3600
    os.utime(path, (moment, moment))
