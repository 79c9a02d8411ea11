"""Estimates of totals are kept for a few seconds, each for whom and what it was made for."""

from tasks_service.totals.repository import Total
from tasks_service.totals.service import KEPT_SECONDS, KeptEstimates

SOME = Total(12_000, is_estimate=True)


def test_an_estimate_is_told_for_a_few_seconds_and_to_nobody_else():
    kept = KeptEstimates()
    assert kept.find("ours", now=7.0) is None
    kept.keep("ours", SOME, now=7.0)
    assert kept.find("ours", now=7.0 + KEPT_SECONDS - 0.1) == SOME
    assert kept.find("theirs", now=7.0) is None
    assert kept.find("ours", now=7.0 + KEPT_SECONDS) is None


def test_a_new_estimate_takes_the_place_of_the_last_one():
    kept, other = KeptEstimates(), Total(13_000, is_estimate=True)
    kept.keep("ours", SOME, now=7.0)
    kept.keep("ours", other, now=11.0)
    assert kept.find("ours", now=14.0) == other


def test_of_too_many_the_oldest_goes():
    kept = KeptEstimates(most=2)
    for name in ("first", "second", "first", "third"):
        kept.keep(name, SOME, now=7.0)
    assert len(kept) == 2
    assert [kept.find(name, now=7.0) for name in ("first", "second", "third")] == [SOME, None, SOME]
