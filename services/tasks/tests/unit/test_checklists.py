from chassis.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st
from tasks_service.checklists.rules import index_beside, placed_anew, position_at


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)), max_size=40))
def test_b7_whoever_is_moved_stands_where_it_was_put(moves):
    order = [(uuid7(), rank) for rank in ("a0", "a1", "a2", "a3", "a4")]
    for one, place in moves:
        moved = order.pop(one % len(order))
        index = place % (len(order) + 1)
        order.insert(index, (moved[0], position_at(order, index)))
    ranks = [rank for _, rank in order]
    assert ranks == sorted(set(ranks), key=str.encode)


def test_b7_a_place_is_named_by_a_neighbour():
    first, second = uuid7(), uuid7()
    others = [(first, "a0"), (second, "a1")]
    assert index_beside(others, after_id=None, before_id=None) == 2
    assert index_beside(others, after_id=first, before_id=None) == 1
    assert index_beside(others, after_id=None, before_id=first) == 0
    assert index_beside(others, after_id=uuid7(), before_id=None) is None


def test_b7_what_stands_there_already_stays():
    others = [(uuid7(), "a0"), (uuid7(), "a2")]
    assert position_at(others, 1, now="a1") == "a1"
    assert position_at(others, 0, now="a1") == "Zz"
    assert position_at([], 0, now="a1") == "a1"


def test_b7_where_there_is_no_room_all_are_placed_anew():
    one, two = uuid7(), uuid7()
    others = [(one, "a0"), (two, "a0" + "0" * 260 + "1")]
    assert position_at(others, 1) is None
    mine, moved = placed_anew(others, 1)
    assert (mine, moved) == ("a1", {two: "a2"})
