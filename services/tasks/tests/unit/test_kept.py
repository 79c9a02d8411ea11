"""Totals and pages are kept for some time, each for whom and what it was made for."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from chassis.filtering.tree import Predicate
from chassis.identity import Principal
from chassis.ids import uuid7
from tasks_service.fields.rules import FIELDS
from tasks_service.keeping.rules import KEPT_SECONDS
from tasks_service.kept_pages.repository import Standing
from tasks_service.kept_pages.service import BESIDES, KeptPage, KeptPages, Shown, for_whom, page_of
from tasks_service.listing.access import asked_plainly
from tasks_service.listing.schemas import TaskQuery
from tasks_service.listing.service import OF_TASKS, plan_of
from tasks_service.totals.repository import Total
from tasks_service.totals.service import ESTIMATED_SECONDS, Counted, KeptEstimates, KeptTotals, total_of

SOME = Total(12_000, is_estimate=True)


def test_an_estimate_is_told_for_a_few_seconds_and_to_nobody_else():
    kept = KeptEstimates()
    assert kept.find(b"ours", now=7.0) is None
    kept.keep(b"ours", SOME, now=7.0)
    assert kept.find(b"ours", now=7.0 + ESTIMATED_SECONDS - 0.1) == SOME
    assert kept.find(b"theirs", now=7.0) is None
    assert kept.find(b"ours", now=7.0 + ESTIMATED_SECONDS) is None


def test_a_new_estimate_takes_the_place_of_the_last_one():
    kept, other = KeptEstimates(), Total(13_000, is_estimate=True)
    kept.keep(b"ours", SOME, now=7.0)
    kept.keep(b"ours", other, now=11.0)
    assert kept.find(b"ours", now=14.0) == other


def test_what_is_kept_for_no_time_is_not_kept():
    kept = KeptEstimates(seconds=0)
    kept.keep(b"ours", SOME, now=7.0)
    assert len(kept) == 0


def test_of_too_many_the_oldest_goes():
    kept = KeptEstimates(most=2)
    for name in (b"first", b"second", b"first", b"third"):
        kept.keep(name, SOME, now=7.0)
    assert len(kept) == 2
    assert [kept.find(name, now=7.0) for name in (b"first", b"second", b"third")] == [SOME, None, SOME]


def test_what_is_too_old_takes_no_place():
    kept = KeptEstimates()
    for number in range(5):
        kept.keep(b"%d" % number, SOME, now=float(number))
    kept.keep(b"last", SOME, now=4.0 + ESTIMATED_SECONDS)
    assert len(kept) == 1


def test_what_was_counted_is_kept_for_some_minutes():
    kept, counted = KeptTotals(), Counted(Total(12, is_estimate=False), uuid7())
    kept.keep(b"ours", counted, now=7.0)
    assert kept.find(b"ours", now=7.0 + KEPT_SECONDS - 0.1) == counted
    assert kept.find(b"theirs", now=7.0) is None
    assert kept.find(b"ours", now=7.0 + KEPT_SECONDS) is None


OF_MORE_THAN_TASKS = {"is_starred", "labels", "watchers"}
"""What depends on rows of their own, some of which are of no workspace."""


def test_of_each_field_it_is_said_whether_its_totals_are_kept():
    assert set(FIELDS.names) == OF_TASKS | OF_MORE_THAN_TASKS
    assert not OF_TASKS & OF_MORE_THAN_TASKS


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ({}, True),
        ({"status": ("todo",)}, True),
        ({"is_archived": ("true",)}, True),
        ({"watchers": (str(uuid7()),)}, False),
        ({"watchers": ("none",), "status": ("todo",)}, False),
    ],
)
def test_a_total_is_kept_of_what_the_log_tells_alone(given, is_kept):
    assert asked_plainly(given).settled.is_of_tasks == is_kept


class Counting:
    """Answers as the database does that is asked for a total, and counts how often."""

    def __init__(self, *, is_estimate=True):
        self.times = 0
        self._is_estimate = is_estimate

    async def execute(self, _statement, _values):
        self.times += 1
        row = {"number": self.times, "is_estimate": self._is_estimate}
        return SimpleNamespace(mappings=lambda: SimpleNamespace(one=lambda: row))

    async def told(self, caller, query, kept):
        plan = plan_of(query, caller)
        asked = {"reach": plan.reach, "found": plan.found, "parameters": plan.parameters}
        return (await total_of(self, caller=caller, **asked, exact_up_to=10, kept=kept)).number


SOMEBODY = Principal(user_id=uuid7(), session_id=uuid7(), roles=frozenset({"user"}))
PROJECTS = [uuid7() for _ in range(2)]
CALLERS = [
    SOMEBODY,
    replace(SOMEBODY, user_id=uuid7()),
    replace(SOMEBODY, workspace_id=uuid7()),
    *(replace(SOMEBODY, project_ids=frozenset({project})) for project in PROJECTS),
    replace(SOMEBODY, project_ids=frozenset(PROJECTS)),
]
META = "meta.app.size"
QUERIES = [
    TaskQuery(),
    TaskQuery(archived=True),
    *(TaskQuery(node=Predicate("project_id", "=", (project,))) for project in PROJECTS),
    *(TaskQuery(node=Predicate("status", "=", (status,))) for status in ("todo", "done")),
    TaskQuery(node=Predicate("status", "!=", ("todo",))),
    TaskQuery(node=Predicate("title", "=", ("todo",))),
    *(TaskQuery(node=Predicate(META, "=", (value,))) for value in (1, 1.0, True, "1")),
]


async def test_nobody_is_told_what_was_made_for_somebody_or_something_else():
    kept, database = KeptEstimates(seconds=3600), Counting()
    asked = [(caller, query) for caller in CALLERS for query in QUERIES]
    numbers = [await database.told(caller, query, kept) for caller, query in asked]
    assert numbers == list(range(1, len(asked) + 1))
    assert [await database.told(caller, query, kept) for caller, query in asked] == numbers


async def test_what_is_exact_is_counted_each_time_and_so_is_what_is_to_be_of_this_moment():
    kept, exact, estimated = KeptEstimates(seconds=3600), Counting(is_estimate=False), Counting()
    assert [await exact.told(SOMEBODY, TaskQuery(), kept) for _ in range(2)] == [1, 2]
    assert [await estimated.told(SOMEBODY, TaskQuery(), None) for _ in range(2)] == [1, 2]
    assert len(kept) == 0


def a_page(log_at, tasks=b"[]"):
    return KeptPage(Shown(tasks, {}, log_at), is_worth_a_look=True)


def test_of_pages_so_many_bytes_are_kept_and_the_oldest_goes():
    pages = KeptPages(4 * BESIDES)
    for name in ("first", "second", "third"):
        pages.keep(name, a_page(uuid7()), now=7.0)
    assert len(pages) == 3
    pages.keep("second", a_page(uuid7(), tasks=b"1" * (BESIDES // 2)), now=7.0)
    assert [pages.find(name, now=7.0) is not None for name in ("first", "second", "third")] == [True, True, True]
    pages.keep("second", a_page(uuid7(), tasks=b"1" * (BESIDES + BESIDES // 2)), now=7.0)
    assert [pages.find(name, now=7.0) is not None for name in ("first", "second", "third")] == [False, True, True]


def test_a_page_that_is_more_than_all_that_is_kept_is_not_kept_and_what_follows_is():
    pages = KeptPages(2 * BESIDES)
    pages.keep("large", a_page(uuid7(), tasks=b"1" * 2 * BESIDES), now=7.0)
    assert len(pages) == 0
    pages.keep("small", a_page(uuid7()), now=7.0)
    assert pages.find("small", now=7.0) is not None


class Log:
    """Tells where it stands, as the database does, and counts how often it is asked, and how often it is read."""

    def __init__(self):
        self.at, self.looks, self.reads = uuid7(), 0, 0
        self.pages = KeptPages(1_000_000)

    async def look(self):
        self.looks += 1
        return Standing(self.at, None)

    async def _find(self):
        self.reads += 1
        return Shown(str(self.at).encode(), {"total": 1}, self.at)

    async def asked(self, caller=SOMEBODY, asked="all"):
        """Return what looking and reading it took to tell a page, which is right."""
        before = self.looks, self.reads
        page = await page_of(self.pages, for_whom(caller, asked), look=self.look, find=self._find)
        assert page.tasks == str(self.at).encode()
        return self.looks - before[0], self.reads - before[1]


async def test_a_page_is_looked_at_unless_it_had_changed_the_last_time():
    log = Log()
    assert [await log.asked() for _ in range(3)] == [(0, 1), (1, 0), (1, 0)]
    log.at = uuid7()
    # It is read anew, and then once more to see whether it keeps changing.
    assert [await log.asked() for _ in range(4)] == [(1, 1), (0, 1), (1, 0), (1, 0)]
    for _ in range(3):
        log.at = uuid7()
        assert await log.asked() in [(1, 1), (0, 1)]
    log.at = uuid7()
    assert await log.asked() == (0, 1)


def test_a_page_is_kept_for_some_minutes():
    pages, page = KeptPages(1_000_000), a_page(uuid7())
    pages.keep("ours", page, now=7.0)
    assert pages.find("ours", now=7.0 + KEPT_SECONDS - 0.1) == page
    assert pages.find("ours", now=7.0 + KEPT_SECONDS) is None


async def test_a_page_is_kept_from_when_it_was_begun_to_be_read():
    log, began = Log(), time.monotonic()

    async def find():
        while time.monotonic() < began + 0.05:
            await asyncio.sleep(0)
        return Shown(b"[]", {}, log.at)

    await page_of(log.pages, "ours", look=log.look, find=find)
    assert log.pages.find("ours", now=began + KEPT_SECONDS) is not None
    assert log.pages.find("ours", now=began + KEPT_SECONDS + 0.04) is None


async def test_a_page_is_kept_for_nobody_and_nothing_else():
    log = Log()
    for caller in CALLERS:
        assert await log.asked(caller) == (0, 1)
        assert await log.asked(caller, "others") == (0, 1)
    for caller in CALLERS:
        assert await log.asked(caller) == (1, 0)


async def test_a_page_of_who_sees_no_workspace_is_not_kept():
    log = Log()
    log.at = None
    assert [await log.asked() for _ in range(2)] == [(0, 1), (0, 1)]
