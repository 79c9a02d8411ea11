"""How relations are stored, and how each end sees them."""

from uuid import UUID

import pytest
from tasks_service.relations.rules import INVERSES, seen_from, stored

LOW, HIGH = UUID(int=1), UUID(int=2)


def test_b8_every_inverse_has_an_inverse():
    assert {INVERSES[INVERSES[kind]] for kind in INVERSES} == set(INVERSES)
    assert all(INVERSES[INVERSES[kind]] == kind for kind in INVERSES)


@pytest.mark.parametrize("ends", [(LOW, HIGH), (HIGH, LOW)])
@pytest.mark.parametrize("kind", INVERSES)
def test_b8_both_ends_store_the_same_and_see_their_own(kind, ends):
    one, other = ends
    name, start, end = stored(kind, one, other)
    assert stored(INVERSES[kind], other, one) == (name, start, end)
    assert seen_from(name, is_from=start == one) == kind
    assert seen_from(name, is_from=start == other) == INVERSES[kind]


def test_b8_what_has_no_direction_begins_at_the_lower_id():
    assert stored("relates_to", HIGH, LOW) == ("relates_to", LOW, HIGH)
