"""The registry of events has what the code has names for, and nothing else (K7)."""

import json
from pathlib import Path

import notifications_service
import pytest
from notifications_service.activity.rules import LOOKS, OF_USERS
from notifications_service.emails.events import CHANNEL_DISABLED
from notifications_service.live.consumers import NOUNS
from notifications_service.registry import EVENTS
from notifications_service.webhooks.rules import EVENT_NAMES
from testkit.event_types import declared_types

CONTRACTS = Path(__file__).parents[3] / "contracts" / "events"
PACKAGE = Path(notifications_service.__file__).parent


def test_k7_every_event_that_the_code_names_is_registered_once_and_no_other():
    types = [event.type for event in EVENTS]
    assert len(types) == len(set(types))
    assert set(types) == declared_types(PACKAGE)


def test_k7_every_noun_of_the_change_log_is_taken_in_and_no_other():
    """One that is not would be a gap in its workspace's log, behind which readers see nothing."""
    registered = {path.name.partition(".")[0] for path in (CONTRACTS / "tasks").glob("*.schema.json")}
    # Over an outbox of its own, to whoever sends mail.
    assert registered - {"invitation_mail"} == set(NOUNS)
    assert len(NOUNS) == len(set(NOUNS))


@pytest.fixture(scope="module")
def channels():
    """Where each event that users get is told, by its type."""
    messages = json.loads((CONTRACTS.parent / "events.asyncapi.json").read_text())["components"]["messages"]
    events = {name: message for name, message in messages.items() if not name.endswith(".webhook")}
    return {name: set(message["x-channels"]) for name, message in events.items() if "x-channels" in message}


def test_k7_what_can_become_a_notification_is_registered_as_that_and_nothing_else(channels):
    # That a channel was turned off is told where that is done.
    made = {*LOOKS, *OF_USERS, CHANNEL_DISABLED.rpartition(".")[0]}
    assert {name for name, told in channels.items() if "notification" in told} == made


def test_k7_webhooks_know_what_is_registered_for_them_and_nothing_else(channels):
    assert {name for name, told in channels.items() if "webhook" in told} == set(EVENT_NAMES)


def test_k7_what_concerns_one_user_alone_is_told_on_streams_alone_or_to_webhooks(channels):
    own = {event.name: set(event.channels) - {"notification"} for event in EVENTS}
    assert len(own) >= 5
    for name, told in own.items():
        assert channels[name] - {"notification"} == told
        assert {"websocket", "sse"} <= told <= {"websocket", "sse", "webhook"}, name
