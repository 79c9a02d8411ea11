"""Answers are written as uvicorn would write them, byte for byte, in fewer pieces."""

import asyncio
import itertools

import pytest
from chassis.web.answers import BODY_FOLLOWS, AnswerWriter
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

DATE = (b"date", b"Thu, 26 Nov 2026 20:54:29 GMT")
KINDS = {
    "short": [(b"content-type", b"application/json"), (b"content-length", b"5"), (b"x-latin", b"\xe9\t\xff")],
    "nothing": [(b"content-length", b"0")],
    "unknown length": [(b"etag", b'"1"'), (b"vary", b"Origin"), (b"vary", b"Accept"), (b"x-empty", b"")],
    "in chunks": [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
    "in chunks first": [(b"transfer-encoding", b"Chunked"), (b"content-length", b"5")],
    "last one": [(b"content-length", b"5"), (b"connection", b"close")],
    "last one, in a list": [(b"content-length", b"5"), (b"connection", b"x-hop, Close")],
    "says that it goes on": [(b"content-length", b"5"), (b"connection", b"keep-alive")],
}


class Transport:
    """Notes what is written."""

    def __init__(self):
        self.written = []
        self.is_closed = False

    def write(self, data):
        self.written += [bytes(data)] if data else []

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True


def new_cycle(transport, *, method="GET", keep_alive=True):
    return RequestResponseCycle(
        scope={"type": "http", "method": method},
        transport=transport,
        flow=FlowControl(transport),
        logger=None,
        access_logger=None,
        access_log=False,
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )


async def sent(messages, *, ours, **options):
    """What is written of an answer, whether the connection ends with it, and what is wrong with it."""
    transport = Transport()
    cycle = new_cycle(transport, **options)
    send = AnswerWriter(cycle).send if ours else cycle.send
    wrong = None
    try:
        for message in messages:
            await send(dict(message))
    except RuntimeError as error:
        wrong = str(error)
    return transport, (b"".join(transport.written), transport.is_closed, cycle.response_complete, wrong)


@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("status", [200, 204, 304, 404, 503])
async def test_an_answer_is_the_same_byte_for_byte(fields, status):
    answers = 0
    for method, keep_alive, pieces, follows in itertools.product(
        ("GET", "HEAD", "POST"), (True, False), ([b"hello"], [b""], [b"he", b"llo"], [b"hello!"]), (True, False)
    ):
        start = {"type": "http.response.start", "status": status, "headers": fields}
        last = len(pieces) - 1
        parts = [
            {"type": "http.response.body", "body": piece, "more_body": place < last}
            for place, piece in enumerate(pieces)
        ]
        marked = {**start, BODY_FOLLOWS: True} if follows and last == 0 else start
        _, uvicorns = await sent([start, *parts], ours=False, method=method, keep_alive=keep_alive)
        _, ours = await sent([marked, *parts], ours=True, method=method, keep_alive=keep_alive)
        assert ours == uvicorns
        answers += 1
    assert answers == 48


async def test_a_short_answer_is_one_write():
    start = {"type": "http.response.start", "status": 200, "headers": KINDS["short"], BODY_FOLLOWS: True}
    transport, _ = await sent([start, {"type": "http.response.body", "body": b"hello"}], ours=True)
    assert len(transport.written) == 1


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"1\r\nx-b: 2"),
        (b"x-a", b"1\n"),
        (b"x-a", b"\r"),
        (b"x-a", b"a\x00"),
        (b"x-a", b"\x7f"),
        (b"x a", b"1"),
        (b"x-a: 1\r\nx-b", b"2"),
        (b"x:a", b"1"),
    ],
)
async def test_r20_a_field_that_is_none_is_never_written(field):
    start = {"type": "http.response.start", "status": 200, "headers": [field, (b"content-length", b"0")]}
    for ours in (True, False):
        transport, (_, _, is_complete, wrong) = await sent([start], ours=ours)
        assert (transport.written, is_complete, wrong is None) == ([], False, False)
