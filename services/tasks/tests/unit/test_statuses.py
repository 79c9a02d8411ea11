"""Keys of statuses, and what a project keeps of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks_service.statuses.rules import is_kept, key_of


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("In review", "in_review"),
        ("  Done!  ", "done"),
        ("Über", "uber"),
        ("日本", "status"),
        ("!", "status"),
        ("A very long name of a status", "a_very_long_name"),
        ("To-do (2)", "to_do_2"),
    ],
)
def test_b5_a_key_is_made_of_the_name(name, key):
    assert key_of(name, set()) == key


def test_b5_a_key_that_is_taken_gets_a_number():
    assert key_of("Done", {"done"}) == "done_2"
    assert key_of("Done", {"done", "done_2", "done_3"}) == "done_4"
    assert key_of("A very long name", {"a_very_long_name"}) == "a_very_long_na_2"


@given(st.text(max_size=100), st.integers(0, 12))
def test_b5_a_key_is_well_formed_and_free_whatever_the_name(name, others):
    taken = set()
    for _ in range(others + 1):
        key = key_of(name, taken)
        assert re.fullmatch(r"[a-z0-9_]{1,16}", key)
        assert key not in taken
        taken.add(key)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({"todo", "done"}, {"todo", "done"}, True),
        ({"todo", "in_progress", "done", "cancelled"}, {"backlog", "done"}, True),
        ({"todo", "done"}, {"todo", "cancelled"}, False),
        ({"todo", "done"}, {"done", "cancelled"}, False),
        ({"todo", "done"}, set(), False),
        ({"todo", "cancelled"}, {"todo"}, True),
        ({"done", "cancelled"}, {"done"}, True),
        ({"cancelled"}, {"cancelled"}, True),
        ({"cancelled"}, set(), False),
    ],
)
def test_b5_a_project_keeps_what_it_has_for_open_tasks_and_for_done_ones(before, after, kept):
    assert is_kept(before, after) is kept
