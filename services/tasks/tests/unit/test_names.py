"""Names as they are compared."""

import pytest
from tasks_service.names.rules import name_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Garden", "gARDEN"),
        ("Straße", "STRASSE"),
        ("\uff27arden", "garden"),
        ("ﬁle", "FILE"),
        ("Cafe\u0301", "CAFÉ"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("Ⅷ", "viii"),
    ],
)
def test_c3_names_are_equal_whatever_their_case_and_form(one, other):
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("garden", "gardens"), ("cafe", "café"), ("a b", "ab")])
def test_c3_other_names_are_others(one, other):
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize("name", ["Straße", "\u0345\u03b1", "İstanbul", "ﷺ", "\u1e9e"])
def test_c3_the_key_of_a_key_is_itself(name):
    assert name_key(name_key(name)) == name_key(name)
