"""What of a list is the same whoever asks, and is found out once: it has to be what is found out for each caller."""

from itertools import combinations

import pytest
from chassis.cursors import CursorSigner
from chassis.filtering.parameters import flat_parameters
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.fields.rules import FIELDS
from tasks_service.listing.access import LONGEST_KEPT, PLAIN, asked_plainly
from tasks_service.listing.service import MOST_SETTLED_PARAMETERS, plan_of, resolve

SIGNER = CursorSigner("a secret of the tests, long enough")
PEOPLE = [Principal(user_id=uuid7(), session_id=uuid7(), roles=frozenset({"user"})) for _ in range(2)]
OF_EACH_CALLER = {"labels", "is_starred"}
OF_DAYS = {"day", "instant", "due"}
SOME_ID = "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1"
VALUES = {"id": SOME_ID, "user": SOME_ID, "number": "5", "boolean": "true", "text": "a, b", "day": "2026-12-01"}


def value_of(parameter):
    field = parameter.field
    if field.allowed:
        return field.allowed[-1]
    return VALUES.get(field.type, field.example)


def parameters():
    return flat_parameters(FIELDS).values()


def depends_on_asker(parameter):
    return parameter.field.name in OF_EACH_CALLER or parameter.field.type in OF_DAYS


@pytest.mark.parametrize("name", [one.name for one in parameters()])
def test_what_depends_on_who_asks_when_or_where_is_never_settled(name):
    parameter = flat_parameters(FIELDS)[name]
    plain = asked_plainly({name: [value_of(parameter)], "sort": ["-priority,due"]})
    assert (plain.settled is None) == depends_on_asker(parameter)
    if parameter.takes_none:
        assert (asked_plainly({name: ["none"]}).settled is None) == depends_on_asker(parameter)
    if parameter.field.type == "user":
        assert asked_plainly({name: ["me"]}).settled is None
        assert asked_plainly({name: [f"{SOME_ID},me"]}).settled is None


SETTLED = [one for one in parameters() if not depends_on_asker(one)]
FORMS = [
    {},
    {"sort": ["-updated_at"], "page": ["3"], "per_page": ["7"]},
    *({one.name: [value_of(one)]} for one in SETTLED),
    *({one.name: ["none"]} for one in SETTLED if one.takes_none),
    *({one.name: [value_of(one)], two.name: [value_of(two)]} for one, two in combinations(SETTLED[::3], 2)),
    {"status": ["todo,done", "todo"], "assigned_to": [f"none,{SOME_ID}"], "project_id": [SOME_ID]},
]


@pytest.mark.parametrize("given", FORMS, ids=str)
async def test_what_is_settled_is_what_is_resolved_for_each_caller(given):
    assert set(given) <= PLAIN
    _, asked, paging, settled, _ = asked_plainly(given)
    assert asked_plainly({name: list(texts) for name, texts in given.items()}).settled is settled
    for caller in PEOPLE:
        # What it is the same for needs nothing of the database.
        query = await resolve(None, caller=caller, asked=asked, paging=paging, signer=SIGNER)
        plan = plan_of(query, caller)
        assert query == settled.query
        assert (plan, plan.found.values, str(plan.found.condition)) == (
            settled.plan,
            settled.plan.found.values,
            str(settled.plan.found.condition),
        )
        assert [str(one) for one in (plan.found.among, plan.found.rest, plan.found.of_mark)] == [
            str(one) for one in (settled.plan.found.among, settled.plan.found.rest, settled.plan.found.of_mark)
        ]


def test_filters_that_come_to_much_are_not_kept():
    keys = ",".join(f"TL-{number + 1}" for number in range(MOST_SETTLED_PARAMETERS))
    assert asked_plainly({"key": [keys]}).settled is None
    assert asked_plainly({"key": ["TL-1,TL-2"]}).settled is not None
    few, many = ({"id": [",".join([SOME_ID] * number)]} for number in (2, LONGEST_KEPT // len(SOME_ID) + 1))
    assert asked_plainly(few) is asked_plainly(few)
    assert asked_plainly(many) is not asked_plainly(many)
    no_dues = {"due": ["not a day," * (LONGEST_KEPT // 9)]}
    assert asked_plainly(no_dues) is not asked_plainly(no_dues)
