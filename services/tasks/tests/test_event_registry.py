"""The registry of events has what the code has names for, and nothing else (K7)."""

from pathlib import Path

import tasks_service
from tasks_service.registry import EVENTS
from testkit.event_types import declared_types

PACKAGE = Path(tasks_service.__file__).parent


def test_k7_every_event_that_the_code_names_is_registered_once_and_no_other():
    types = [event.type for event in EVENTS]
    assert len(types) == len(set(types))
    assert set(types) == declared_types(PACKAGE)


def test_g17_what_is_due_and_reminded_of_has_reserved_names():
    reserved = {event.type for event in EVENTS if event.reserved}
    assert reserved == {"task.due_soon.v1", "task.overdue.v1", "reminder.fired.v1"}


def test_k7_every_change_of_a_workspace_is_told_everywhere():
    channels = {event.type: set(event.channels) - {"notification"} for event in EVENTS}
    between_services = {type_ for type_, told in channels.items() if not told}
    assert between_services == {"invitation_mail.requested.v1"}
    told = {frozenset(one) for type_, one in channels.items() if type_ not in between_services}
    assert told == {frozenset({"history", "feed", "websocket", "sse", "webhook"})}
