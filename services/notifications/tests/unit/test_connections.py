"""What a connection does with frames before anything is sent."""

import json

import pytest
from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.ids import uuid7
from notifications_service.realtime.connection import Admission, Connection
from notifications_service.realtime.protocol import KnownTask, stored_frame
from notifications_service.realtime.subscriptions import ME, Scope, Subscription

USER, WORKSPACE, TASK = uuid7(), uuid7(), uuid7()


@pytest.fixture
def connection():
    found = Connection(Principal(USER, uuid7()), CursorSigner("a secret of the tests, long enough"))
    found.begin({WORKSPACE: Admission(1, 1)}, {WORKSPACE: 0, USER: 0}, {})
    return found


@pytest.fixture
def sent():
    return []


@pytest.fixture
def send(sent):
    async def send(frame):
        sent.append(json.loads(frame.body))

    return send


def comment(seq, *, known=None, is_looked_up=False):
    frame = {"seq": seq, "type": "comment.created", "workspace_id": str(WORKSPACE), "task_id": str(TASK), "data": {}}
    row = {"workspace_id": WORKSPACE, "seq": seq, "type": "comment.created.v1", "frame": frame, "audience": [USER]}
    return stored_frame({**row, "lost_by": None, "about_workspace_id": None}, known, is_looked_up=is_looked_up)


async def test_what_was_read_before_its_task_was_asked_for_is_read_once_more(connection, send, sent):
    """A filter that comes while frames wait must not miss what hangs on tasks that fit it."""
    connection.offer(comment(1))
    connection.want(Subscription(ME))
    await connection.flush(send)
    assert (sent, connection.positions[WORKSPACE], connection.takes_up_again()) == ([], 0, True)
    connection.offer(comment(2))
    connection.start_catching_up()
    connection.offer(comment(3))
    assert not connection.has_caught_up()
    connection.start_catching_up()
    mine = KnownTask({"assignees": [str(USER)]})
    for seq in (1, 2, 3):
        await connection.deliver(comment(seq, known=mine, is_looked_up=True), send)
    assert connection.has_caught_up()
    assert [one["seq"] for one in sent] == [1, 2, 3]


async def test_what_is_nothing_to_a_reader_wakes_nobody_and_counts(connection, send, sent):
    connection.want(Subscription(Scope("task", uuid7()), workspace_id=WORKSPACE))
    for seq in (1, 2):
        connection.offer(comment(seq))
    assert (connection.positions[WORKSPACE], connection._waiting) == (2, type(connection._waiting)())  # noqa: SLF001 - nothing shows it
    # One that comes before those that it follows waits for them.
    connection.offer(comment(4))
    assert connection.positions[WORKSPACE] == 2
    await connection.flush(send)
    assert (connection.positions[WORKSPACE], sent) == (4, [])
