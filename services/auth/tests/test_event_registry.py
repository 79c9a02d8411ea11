"""The registry of events has what the code has names for, and nothing else (K7)."""

from pathlib import Path

import auth_service
from auth_service.registry import EVENTS
from testkit.event_types import declared_types

PACKAGE = Path(auth_service.__file__).parent


def test_k7_every_event_that_the_code_names_is_registered_once_and_no_other():
    types = [event.type for event in EVENTS]
    assert len(types) == len(set(types))
    assert set(types) == declared_types(PACKAGE)
