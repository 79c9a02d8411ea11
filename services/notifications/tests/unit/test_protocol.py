"""Frames and the answers to a client's messages."""

import json

from chassis.ids import uuid7
from notifications_service.realtime.protocol import stored_frame, with_cursor


def row(**more):
    frame = {"seq": 3, "type": "task.updated", "data": {"title": "grüße 漢字"}}
    return {
        "workspace_id": uuid7(),
        "seq": 3,
        "type": "task.updated.v1",
        "audience": [],
        "lost_by": None,
        "about_workspace_id": None,
        "frame": frame,
        **more,
    }


def test_a_frame_gets_the_cursor_of_its_reader():
    given = row()
    frame = stored_frame(given)
    whole = with_cursor(frame, frame.opening, "abc")
    assert json.loads(whole.body) == {**given["frame"], "cursor": "abc"}
    assert (whole.type, whole.cursor) == ("task.updated", "abc")


def test_a_removal_names_whom_it_removes():
    user = uuid7()
    frame = {"seq": 3, "type": "member.removed", "data": {"user_id": str(user)}}
    assert stored_frame(row(type="member.removed.v1", frame=frame)).removed_user == user
    assert stored_frame(row(type="member.added.v1", frame=frame)).removed_user is None
    assert stored_frame(row(type="member.removed.v1", frame={**frame, "data": None})).removed_user is None
