"""The registry of events has what the code has names for, and nothing else (K7)."""

from pathlib import Path

import notifications_service
from notifications_service.live.consumers import NOUNS
from notifications_service.registry import EVENTS
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
