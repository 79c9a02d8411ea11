"""The client of the services (R25): what it sends, what it takes for an answer, and which connections it keeps."""

import asyncio
import contextlib
import gc

import pytest
from gateway.upstream_connection import HIGH_WATER, MAX_HEAD, Broken, Dropped, NotConnected, Question, Reply
from gateway.upstream_http import ServiceClient
from testkit.receivers import listening
from testkit.waiting import eventually

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def question(method="GET", target="/x", *, fields=(), body=b"", patience=5.0, deadline=None):
    return Question(method, target, list(fields), body, patience, deadline)


class Scripted:
    """A service that answers the requests of each connection by these bytes, in turn, and then ends it."""

    def __init__(self, *answers, body=0):
        self.answers = answers
        self.asked = []
        self.connections = 0
        self.body = body

    async def __call__(self, reader, writer):
        self.connections += 1
        for answer in self.answers:
            with contextlib.suppress(asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head + await reader.readexactly(self.body))
                writer.write(answer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def client_of(service, prefix=""):
    async with listening(service) as port:
        client = ServiceClient(f"http://127.0.0.1:{port}{prefix}")
        try:
            yield client
        finally:
            client.close()


async def answered(client, asked=None):
    """The answer as it is: status, fields and body; its connection is given back."""
    reply = await client.ask(asked or question())
    try:
        return reply.status, reply.fields, b"".join([piece async for piece in reply.pieces()])
    finally:
        client.release(reply)


@pytest.mark.parametrize(
    ("asked", "head"),
    [
        (question(), "GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        (question("DELETE"), "DELETE /x HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"),
        (
            question("POST", "/x?a=1", fields=[("x-name", "\xe9\xff")], body=b"{}"),
            "POST /x?a=1 HTTP/1.1\r\nhost: {host}\r\nx-name: \xe9\xff\r\ncontent-length: 2\r\n\r\n{{}}",
        ),
        (
            question("PUT", fields=[("content-length", "2")], body=b"{}"),
            "PUT /x HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}",
        ),
    ],
)
async def test_a_request_is_what_was_asked_and_no_more(asked, head):
    service = Scripted(SHORT, body=len(asked.body))
    async with listening(service) as port:
        client = ServiceClient(f"http://127.0.0.1:{port}")
        assert await answered(client, asked) == (200, [(b"content-length", b"2")], b"{}")
        client.close()
    assert service.asked == [head.format(host=f"127.0.0.1:{port}").encode("latin-1")]


async def test_the_path_of_the_service_s_address_comes_first():
    service = Scripted(SHORT)
    async with client_of(service, "/below") as client:
        await answered(client)
    assert service.asked[0].startswith(b"GET /below/x HTTP/1.1\r\n")


@pytest.mark.parametrize("field", [("x-a", "1\r\nx-b: 2"), ("x-a", "1\n"), ("x-a", "1\r"), ("x-a\r\nx-b", "2")])
async def test_r20_a_field_that_would_begin_another_one_is_not_sent(field):
    service = Scripted(SHORT)
    async with client_of(service) as client:
        with pytest.raises(ValueError, match="begin another one"):
            await client.ask(question(fields=[field]))
    assert service.asked == []


async def test_a_body_that_comes_in_pieces_is_sent_as_it_comes():
    async def pieces():
        yield b"hello "
        yield b"world"

    chunked = Scripted(SHORT, body=len(b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"))
    async with client_of(chunked) as client:
        assert (await answered(client, question("POST", body=pieces())))[0] == 200
    assert chunked.asked[0].endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n")
    measured = Scripted(SHORT, body=11)
    async with client_of(measured) as client:
        await answered(client, question("POST", fields=[("content-length", "11")], body=pieces()))
    assert measured.asked[0].endswith(b"\r\ncontent-length: 11\r\n\r\nhello world")


async def test_what_the_body_raises_is_raised_and_ends_the_connection():
    async def pieces():
        yield b"hello"
        raise LookupError("broken off")

    ended = asyncio.Event()

    async def serve(reader, _writer):
        await reader.read()
        ended.set()

    async with client_of(serve) as client:
        with pytest.raises(LookupError, match="broken off"):
            await client.ask(question("POST", body=pieces()))
        await asyncio.wait_for(ended.wait(), 2)


async def test_an_answer_before_the_end_of_the_body_is_one_and_ends_the_sending():
    sent, over = [], asyncio.Event()

    async def pieces():
        try:
            while True:
                sent.append(1)
                yield b"x" * 65536
        finally:
            sent.append("ended")

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        await over.wait()

    async with client_of(serve) as client:
        assert (await answered(client, question("POST", body=pieces())))[::2] == (413, b"{}")

        async def is_over():
            return sent[-1] == "ended"

        await eventually(is_over)
        over.set()
    # The service read nothing: so much fits into what is between us.
    assert len(sent) < 200


@pytest.mark.parametrize(
    ("answer", "status", "fields", "body"),
    [
        (SHORT, 200, {b"content-length": b"2"}, b"{}"),
        (b'HTTP/1.1 204 No Content\r\nETag: "1"\r\n\r\n', 204, {b"etag": b'"1"'}, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\n\r\n", 304, {b"content-length": b"55"}, b""),
        (
            CHUNKED + b"Trailer: X-T\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
            200,
            {b"transfer-encoding": b"chunked", b"trailer": b"X-T"},
            b"abcde",
        ),
        (
            b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + SHORT,
            200,
            {b"content-length": b"2"},
            b"{}",
        ),
    ],
    ids=["length", "204", "304", "chunks", "informed first"],
)
async def test_answers_of_every_kind_however_they_arrive_keep_the_connection(answer, status, fields, body):
    class Dripping(Scripted):
        async def __call__(self, reader, writer):
            self.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await reader.readuntil(b"\r\n\r\n")
            for byte in answer:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            await reader.read()

    service = Dripping()
    async with client_of(service) as client:
        for _ in range(2):
            found = await answered(client)
            assert (found[0], dict(found[1]), found[2]) == (status, fields, body)
    assert service.connections == 1


async def test_a_head_alone_is_all_of_an_answer_to_head():
    service = Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", SHORT)
    async with client_of(service) as client:
        assert await answered(client, question("HEAD")) == (200, [(b"content-length", b"1234")], b"")
        assert (await answered(client))[2] == b"{}"
    assert service.connections == 1


async def test_the_end_of_the_connection_is_the_end_of_a_body_that_has_no_other_one():
    service = Scripted(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nabc")
    async with client_of(service) as client:
        for _ in range(2):
            assert (await answered(client))[2] == b"abc"
    assert service.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        SHORT + b"more than was asked for",
        SHORT + SHORT,
    ],
    ids=["close", "1.0", "more", "twice"],
)
async def test_r25_a_connection_that_may_be_out_of_step_is_not_kept(answer):
    service = Scripted(answer, SHORT)
    async with client_of(service) as client:
        for _ in range(2):
            with contextlib.suppress(Broken):
                assert (await answered(client))[2] == b"{}"
    assert service.connections == 2


async def test_r25_what_comes_without_a_request_is_nobodys_answer():
    said = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SHORT)
        await writer.drain()
        await said.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        said.clear()

    async with client_of(serve) as client:
        await answered(client)
        said.set()

        async def was_closed():
            return not said.is_set()

        await eventually(was_closed)
        assert (await answered(client))[2] == b"{}"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Dropped),
        (b"HTTP/1.1 200 OK\r\nContent-", Broken),
        (b"nonsense\r\n\r\n", Broken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", Broken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", Broken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Broken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Broken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Broken),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", Broken),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 2 * MAX_HEAD, Broken),
    ],
    ids=[
        "nothing",
        "part of a head",
        "nonsense",
        "two lengths",
        "length and chunks",
        "part of a body",
        "part of chunks",
        "no chunk",
        "upgrade",
        "long head",
    ],
)
async def test_r25_what_is_no_answer_is_told_from_one_that_never_came(answer, error):
    async with client_of(Scripted(answer)) as client:
        with pytest.raises(error):
            await answered(client)


async def test_r25_nobody_listens(closed_port):
    with pytest.raises(NotConnected):
        await ServiceClient(f"http://127.0.0.1:{closed_port}").ask(question())


async def test_r25_silence_is_counted_from_the_last_byte_and_the_deadline_from_the_start():
    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(5):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        await reader.read()

    loop = asyncio.get_running_loop()
    async with client_of(drip) as client:
        for patience, deadline, least, most in ((0.3, None, 0.6, 1.4), (5.0, 0.35, 0.3, 0.6)):
            began = loop.time()
            with pytest.raises(TimeoutError):
                await answered(client, question(patience=patience, deadline=deadline and began + deadline))
            assert least < loop.time() - began < most


async def test_r25_a_kept_connection_does_not_give_up_by_the_clock_of_an_earlier_request():
    async def serve(reader, writer):
        for pause in (0.0, 0.5):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(pause)
            writer.write(SHORT)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    async with client_of(serve) as client:
        await answered(client, question(patience=0.2))
        assert (await answered(client, question(patience=2)))[2] == b"{}"
        with pytest.raises(TimeoutError):
            await answered(client, question(patience=0.1))


async def test_r25_a_reader_that_waits_has_the_service_wait_and_is_no_silence_of_it():
    size, written = 40 * HIGH_WATER, []

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(40):
            writer.write(b"x" * HIGH_WATER)
            await writer.drain()
            written.append(HIGH_WATER)
        await reader.read()

    async with client_of(serve) as client:
        reply = await client.ask(question(patience=0.3))
        await asyncio.sleep(0.6)
        assert sum(written) < size
        assert sum([len(piece) async for piece in reply.pieces()]) == size
        client.release(reply)


async def test_r25_silence_after_the_service_had_to_wait_is_one():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 2 * HIGH_WATER)
        await reader.read()

    loop = asyncio.get_running_loop()
    async with client_of(serve) as client:
        reply = await client.ask(question(patience=0.3))
        await asyncio.sleep(0.5)
        began = loop.time()
        with pytest.raises(TimeoutError):
            assert sum([len(piece) async for piece in reply.pieces()])
        assert 0.2 < loop.time() - began < 1.5
        client.release(reply)


async def test_a_closed_client_keeps_nothing():
    service = Scripted(SHORT, SHORT)
    async with client_of(service) as client:
        reply = await client.ask(question())
        client.close()
        client.release(reply)
        await answered(client)
    assert service.connections == 2


async def test_many_at_once_each_have_their_own_answer():
    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split()[1]
                await asyncio.sleep(0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))
        writer.close()

    async with client_of(serve) as client:

        async def ask(number):
            return [(await answered(client, question(target=f"/{number}/{turn}")))[2] for turn in range(20)]

        found = await asyncio.gather(*(ask(number) for number in range(50)))
    assert found == [[b"/%d/%d" % (number, turn) for turn in range(20)] for number in range(50)]


async def test_connections_that_the_service_has_ended_are_not_remembered():
    service = Scripted(*[SHORT])
    async with client_of(service) as client:
        for asked in range(1, 4):
            await answered(client)

            async def is_forgotten():
                return client.idle == 0

            await eventually(is_forgotten)
            assert service.connections == asked


async def test_an_answer_that_was_taken_leaves_nothing_to_collect():
    """No cycle of objects for each request: they would wait for a collection, during which all stands still."""
    service = Scripted(*[SHORT] * 200)
    async with client_of(service) as client:
        for _ in range(20):
            await answered(client)
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                await answered(client)
            left = [one for one in gc.get_objects() if isinstance(one, Reply)]
        finally:
            gc.enable()
    assert left == []
