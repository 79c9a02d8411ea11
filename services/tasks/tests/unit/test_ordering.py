from hypothesis import given
from hypothesis import strategies as st
from tasks_service.ordering.rules import rank_between, ranks_for


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=60))
def test_b7_wherever_one_is_put_it_stands_there(places):
    ranks = []
    for place in places:
        index = place % (len(ranks) + 1)
        before = ranks[index - 1] if index else None
        after = ranks[index] if index < len(ranks) else None
        ranks.insert(index, rank_between(before, after))
    assert ranks == sorted(set(ranks), key=str.encode)


def test_places_for_many_are_short():
    ranks = ranks_for(200)
    assert ranks == sorted(set(ranks), key=str.encode)
    assert max(map(len, ranks)) == 3
