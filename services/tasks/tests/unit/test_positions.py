"""Places of tasks (B15): always one between two, in order, and short."""

import random

import pytest
from tasks_service.positions.rules import place_between


def new(number):
    return f"n{number:010}V"


def test_b15_ten_thousand_random_moves_keep_the_order_and_stay_short():
    chance = random.Random(15)
    places = [new(number) for number in range(1, 101)]
    for _ in range(10_000):
        places.pop(chance.randrange(len(places)))
        at = chance.randrange(len(places) + 1)
        before = places[at - 1] if at > 0 else None
        after = places[at] if at < len(places) else None
        found = place_between(before, after)
        assert found is not None
        assert before is None or before < found
        assert after is None or found < after
        places.insert(at, found)
    assert places == sorted(set(places))
    assert max(map(len, places)) <= 30


@pytest.mark.parametrize("to_front", [True, False])
def test_b15_ten_thousand_moves_to_one_end_stay_short(to_front):
    found = new(7)
    for _ in range(10_000):
        moved = place_between(None, found) if to_front else place_between(found, None)
        assert moved is not None
        assert (moved < found) is to_front
        found = moved
    assert len(found) <= 16
    assert (found < new(1)) if to_front else (new(7) < found < new(8))


def test_b15_ten_thousand_moves_right_beside_one_task_stay_short():
    first, second = new(1), new(2)
    after, before = second, first
    for _ in range(10_000):
        closer = place_between(first, after)
        assert closer is not None
        assert first < closer < after
        after = closer
        other = place_between(before, second)
        assert other is not None
        assert before < other < second
        before = other
    assert max(len(after), len(before)) <= 16


def test_b15_a_new_task_follows_what_was_moved_to_the_end():
    assert place_between(new(12), None) < new(13)


def test_b15_a_place_that_is_halved_for_ever_runs_out_after_a_thousand_times():
    low, high, times, is_low = new(1), place_between(new(1), None), 0, True
    while (middle := place_between(low, high)) is not None:
        low, high = (middle, high) if is_low else (low, middle)
        assert low < high
        is_low, times = not is_low, times + 1
    assert times > 1000


def test_b15_a_place_is_beside_another():
    with pytest.raises(ValueError, match="beside"):
        place_between(None, None)
