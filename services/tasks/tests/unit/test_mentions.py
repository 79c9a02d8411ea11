from uuid import UUID

import pytest
from chassis.ids import uuid7
from tasks_service.mentions.rules import found_in

ONE, TWO = UUID("0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"), UUID("0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a12")


def test_h2_each_is_found_once_in_order():
    assert found_in(f"@[user:{TWO}]@[user:{ONE}], @[user:{str(TWO).upper()}]") == [TWO, ONE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@user",
        f"[user:{ONE}]",
        f"@[user:{ONE}",
        f"@[group:{ONE}]",
        "@[user:x]",
        f"@[user: {ONE}]",
        f"@[user:{ONE.hex}]",
    ],
)
def test_h2_what_only_looks_like_a_mention_is_none(text):
    assert found_in(text) == []


def test_h2_ten_thousand_characters_are_no_matter():
    assert found_in("@[user:" * 1_400) == []
    assert len(found_in("".join(f"@[user:{uuid7()}]" for _ in range(220)))) == 220
