"""What is allowed arrives, as it was meant; and whatever comes back costs no more than it may."""

import asyncio
import gzip
from ipaddress import ip_network

import pytest
from chassis.egress.client import MAX_BODY, Blocked, Egress, Unanswered
from chassis.egress.rules import EgressRules
from testkit.receivers import listening, read_request

LOOPBACK = (ip_network("127.0.0.0/8"),)
NAME = "hooks.example.com"
SECONDS = 1.0
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def egress(port, **options):
    rules = EgressRules(networks=LOOPBACK, ports=(range(port, port + 1),), http=True)
    return Egress(rules, **{"connect_seconds": SECONDS, "total_seconds": SECONDS, **options})


def answering(*parts, pause=None, again=False):
    """Return a receiver that sends these bytes, the last of them for ever where they come `again`."""

    async def serve(reader, writer):
        await read_request(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
        while again:
            writer.write(parts[-1])
            await writer.drain()
            await asyncio.sleep(pause or 0)

    return serve


async def fetched(serve, **options):
    async with listening(serve) as port:
        return await egress(port, **options).fetch("POST", f"http://127.0.0.1:{port}/hook", body=b"{}")


async def refused(serve, **options):
    with pytest.raises(Unanswered) as error:
        await fetched(serve, **options)
    return error.value.reason


async def test_r62_what_is_allowed_arrives_as_it_was_meant(names, resolver, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    names.records["hooks.corp.internal"] = ["127.0.0.1"]
    seen = []

    async def serve(reader, writer):
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\ncontent-length: 4\r\n\r\nokay")

    async with listening(serve) as port:
        url = f"http://hooks.corp.internal:{port}/a%20b?c=d"
        answer = await egress(port, resolver=resolver).fetch("POST", url, headers={"webhook-id": "1"}, body=b'{"a":1}')
        assert (answer.status, answer.headers["retry-after"], answer.body) == (202, "3", b"okay")
        first, headers, body = seen[0]
        assert (first, body) == (b"POST /a%20b?c=d HTTP/1.1", b'{"a":1}')
        assert headers == {
            "webhook-id": "1",
            "host": f"hooks.corp.internal:{port}",
            "accept-encoding": "identity",
            "connection": "close",
            "content-length": "7",
        }


async def test_r62_tls_is_with_the_name_and_the_pinned_address(names, resolver, certificates):
    names.records[NAME] = ["127.0.0.1"]
    names.records["other.example.com"] = ["127.0.0.1"]
    certificates.names.clear()
    async with listening(answering(b"HTTP/1.1 204 No Content\r\n\r\n"), certificates.server) as port:
        client = egress(port, resolver=resolver, tls=certificates.client)
        assert (await client.fetch("POST", f"https://{NAME}:{port}/")).status == 204
        assert certificates.names == [NAME]
        with pytest.raises(Unanswered, match="tls"):
            await client.fetch("POST", f"https://other.example.com:{port}/")
        with pytest.raises(Unanswered, match="tls"):
            await egress(port, resolver=resolver).fetch("POST", f"https://{NAME}:{port}/")


async def test_r62_another_of_the_addresses_is_tried(names, resolver):
    names.records["two.example.com"] = ["127.0.0.2", "127.0.0.1"]
    async with listening(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as port:
        answer = await egress(port, resolver=resolver).fetch("POST", f"http://two.example.com:{port}/")
        assert answer.status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_r62_redirects_are_answers_and_nothing_more(canary, status):
    goal = f"http://127.0.0.1:{canary.port}/".encode()
    head = b"HTTP/1.1 %d Elsewhere\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % (status, goal)
    answer = await fetched(answering(head))
    assert (answer.status, canary.connections) == (status, 0)


async def test_r62_a_large_body_is_cut():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    answer = await fetched(answering(head, b"x" * 10_000, again=True), total_seconds=10.0)
    assert (answer.status, answer.body) == (200, b"x" * MAX_BODY)


async def test_r62_a_packed_body_stays_packed():
    bomb = gzip.compress(bytes(50_000_000))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    answer = await fetched(answering(head, bomb), total_seconds=10.0)
    assert answer.body == bomb[:MAX_BODY]


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (answering(b"HTTP/1.1 200 OK\r\n", b"x: aaaaaaaaaaaaaaaaaaaaaa\r\n", again=True), "protocol"),
        (answering(b"HTTP/1.1 200 OK\r\nx: ", b"a" * 10_000, again=True), "protocol"),
        (answering(b"HTTP/1.1 103 Early Hints\r\n\r\n", again=True), "protocol"),
        (answering(CHUNKED, b"1\r\nx\r\n", again=True, pause=0.01), "timeout"),
        (answering(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", again=True, pause=0.05), "timeout"),
        (answering(b"", again=True, pause=0.05), "timeout"),
        (answering(), "protocol"),
        (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), "protocol"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"), "protocol"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"), "protocol"),
        (answering(CHUNKED, b"zz\r\n"), "protocol"),
    ],
)  # fmt: skip
async def test_r62_answers_that_never_end_or_are_none(serve, reason):
    # What is no answer is told by what it is, and not by the time that is over on a busy machine.
    seconds = 2.0 if reason == "timeout" else 30.0
    started = asyncio.get_running_loop().time()
    assert await refused(serve, total_seconds=seconds) == reason
    assert asyncio.get_running_loop().time() - started < seconds + 3.0


async def test_r62_a_handshake_that_hangs_is_given_up(names, resolver, certificates):
    names.records[NAME] = ["127.0.0.1"]

    async def hang(reader, writer):
        await reader.read()

    async with listening(hang) as port:
        client = egress(port, resolver=resolver, tls=certificates.client, connect_seconds=0.3, total_seconds=10.0)
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unanswered, match="timeout"):
            await client.fetch("POST", f"https://{NAME}:{port}/")
        assert asyncio.get_running_loop().time() - started < 5.0


async def test_r62_nobody_there():
    async with listening(answering()) as port:
        pass
    with pytest.raises(Unanswered, match="connect"):
        await egress(port).fetch("POST", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("value", ["a\r\nx-injected: 1", "a\nb", "a\0b"])
async def test_r62_a_header_is_one_header(canary, value):
    with pytest.raises(Unanswered, match="protocol"):
        await egress(canary.port).fetch("POST", f"http://127.0.0.1:{canary.port}/", headers={"x-a": value})
    assert canary.received == b""


async def test_r62_many_at_once_do_not_wait_for_one_that_hangs(names, resolver):
    names.silent.add("silent.example.com")
    names.records[NAME] = ["127.0.0.1"]
    async with listening(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as port:
        client = egress(port, resolver=resolver, total_seconds=10.0)
        waiting = [asyncio.create_task(client.fetch("POST", f"http://silent.example.com:{port}/")) for _ in range(50)]
        for _ in range(20):
            assert (await client.fetch("POST", f"http://{NAME}:{port}/")).status == 200
        assert not any(one.done() for one in waiting)
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert {(type(one), str(one)) for one in found} == {(Unanswered, "dns")}


async def test_r62_the_rules_are_asked_at_each_request(names, resolver):
    names.records[NAME] = ["127.0.0.1"]
    async with listening(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as port:
        client = egress(port, resolver=resolver)
        assert (await client.fetch("POST", f"http://{NAME}:{port}/")).status == 200
        names.records[NAME] = ["10.0.0.1"]
        with pytest.raises(Blocked):
            await client.fetch("POST", f"http://{NAME}:{port}/")
