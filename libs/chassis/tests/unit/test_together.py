"""What is asked at the same time is asked in one go, and each is told their own."""

import asyncio
from contextvars import ContextVar

import pytest
from chassis.together import MOST, Together
from testkit.waiting import eventually

FOREVER = 3600.0
whose: ContextVar[str] = ContextVar("whose", default="nobody's")


async def told(*asking, **terms):
    """Return what is told, and do not wait for ever where nothing is."""
    return await asyncio.wait_for(asyncio.gather(*asking, **terms), 10)


class Oracle:
    """Answers with the square, once it may, and knows what it was asked in which go."""

    def __init__(self, **terms):
        self.goes = []
        self.contexts = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.errors = {}
        self.together = Together(self._answer, **terms)

    async def _answer(self, asked):
        self.goes.append(list(asked))
        self.contexts.append(whose.get())
        await self.may_answer.wait()
        for one in asked:
            if one in self.errors:
                raise self.errors[one]
        return [one * one for one in asked]

    def begin(self, *asked):
        return [asyncio.create_task(self.together.ask(one)) for one in asked]

    async def hold(self, *asked):
        """Begin to ask, up to where the answer is held back."""
        self.may_answer.clear()
        asking = self.begin(*asked)
        await self.is_asked(len(self.goes) + 1)
        return asking

    async def wait(self, *asked):
        """Begin to ask, up to where it is waited for what is under way."""
        asking = self.begin(*asked)
        await asyncio.sleep(0)
        return asking

    async def told(self, *asked):
        return await told(*self.begin(*asked))

    async def is_asked(self, times):
        async def probe():
            return len(self.goes) == times

        await eventually(probe)


async def test_what_is_asked_at_the_same_time_goes_together_and_alone_else():
    oracle = Oracle()
    assert await oracle.told(3, 1, 2, 3) == [9, 1, 4, 9]
    assert await oracle.told(5) == [25]
    assert await oracle.told(6) == [36]
    assert oracle.goes == [[3, 1, 2, 3], [5], [6]]


async def test_what_comes_while_something_is_under_way_goes_together_after_it():
    oracle = Oracle(patience=FOREVER)
    first = await oracle.hold(1)
    second = await oracle.wait(2)
    third = await oracle.wait(3)
    assert oracle.goes == [[1]]
    oracle.may_answer.set()
    assert await told(*first, *second, *third) == [1, 4, 9]
    assert oracle.goes == [[1], [2, 3]]


async def test_nothing_waits_long_for_what_does_not_come_back():
    oracle = Oracle(patience=0.01)
    slow = await oracle.hold(1)
    also_slow = oracle.begin(2, 3)
    await oracle.is_asked(2)
    assert oracle.goes == [[1], [2, 3]]
    oracle.may_answer.set()
    assert await told(*slow, *also_slow) == [1, 4, 9]


async def test_no_more_than_so_much_goes_together_and_the_rest_at_once_after_it():
    oracle = Oracle(patience=FOREVER)
    asked = range(2 * MOST + 3)
    assert await oracle.told(*asked) == [one * one for one in asked]
    assert [len(one) for one in oracle.goes] == [MOST, MOST, 3]


async def test_the_rest_does_not_wait_long_either_for_what_does_not_come_back():
    oracle = Oracle(patience=0.01)
    oracle.may_answer.clear()
    asking = oracle.begin(*range(2 * MOST + 3))
    await oracle.is_asked(3)
    assert [len(one) for one in oracle.goes] == [MOST, MOST, 3]
    oracle.may_answer.set()
    await told(*asking)


async def test_who_comes_after_all_were_told_goes_at_once():
    oracle = Oracle(patience=FOREVER)
    first = await oracle.hold(1)
    second = await oracle.wait(2)
    oracle.may_answer.set()
    assert await told(*first, *second) == [1, 4]
    assert await oracle.told(3) == [9]
    assert oracle.goes == [[1], [2], [3]]


async def test_what_fails_is_told_to_those_who_were_asked_for_with_it_and_to_nobody_else():
    oracle = Oracle()
    oracle.errors[2] = LookupError("two")
    outcomes = await told(*oracle.begin(1, 2), return_exceptions=True)
    assert outcomes == [oracle.errors[2]] * 2
    assert await oracle.told(1, 3) == [1, 9]


async def test_answers_that_are_not_one_for_each_are_nobodys():
    async def too_few(asked):
        return list(asked)[1:]

    together = Together(too_few)
    outcomes = await told(*(together.ask(one) for one in (1, 2, 3)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {ValueError}


async def test_who_is_gone_is_not_asked_for_and_takes_nobody_along():
    oracle = Oracle(patience=FOREVER)
    [first] = await oracle.hold(1)
    gone, stays = await oracle.wait(2, 3)
    # The one who is being asked for, and one who waits.
    first.cancel()
    gone.cancel()
    oracle.may_answer.set()
    assert await told(stays) == [9]
    assert oracle.goes == [[1], [3]]
    assert first.cancelled()
    assert gone.cancelled()


async def test_all_who_waited_may_be_gone():
    oracle = Oracle(patience=FOREVER)
    first = await oracle.hold(1)
    [gone] = await oracle.wait(2)
    gone.cancel()
    oracle.may_answer.set()
    assert await told(*first) == [1]
    assert await oracle.told(4) == [16]
    assert oracle.goes == [[1], [4]]


async def test_nobodys_context_is_that_of_what_is_asked_for_many():
    oracle = Oracle()
    whose.set("mine")
    assert await oracle.told(1) == [1]
    assert oracle.contexts == ["nobody's"]


async def test_who_waits_for_what_was_cancelled_is_told_so():
    started = asyncio.Event()
    running = []

    async def never(_asked):
        running.append(asyncio.current_task())
        started.set()
        await asyncio.Event().wait()

    together = Together(never)
    asking = asyncio.create_task(together.ask(1))
    await started.wait()
    running[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await told(asking)
