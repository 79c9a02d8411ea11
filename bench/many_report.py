"""The table of what was measured at each size."""

import platform
from collections.abc import Iterator, Sequence

from chassis.clock import utcnow
from many_cases import CASES
from many_run import Key, Run
from run import commit

BAR = 1.5
AVERAGE_BAR = 5.0
SMALL, LARGE = 10_000, 1_000_000
WITH_BAR = {case.group for case in CASES if case.has_bar}


def as_text(runs: Sequence[Run]) -> str:
    """Return it all."""
    lines = [
        f"{utcnow():%Y-%m-%d %H:%M} UTC, commit {commit()}, {platform.machine()}, Python {platform.python_version()}",
        "one workspace, 50 projects, 200 members; one request after the other through the service's app;",
        "p50, p95: milliseconds of a request; db: of PostgreSQL in it; st: of its slowest kind of statement on average",
        "",
        *_table(runs),
        "",
        *_walks(runs),
        "",
        *_summary(runs),
        "",
    ]
    return "\n".join(lines)


def _table(runs: Sequence[Run]) -> Iterator[str]:
    yield f"{'':64}" + "".join(f"|{run.size:>11,} p50    p95     db     st " for run in runs) + "|p95 to 10,000"
    keys: dict[Key, None] = {}
    for run in runs:
        keys |= dict.fromkeys(run.samples)
    for key in keys:
        yield f"{', '.join(key):64}" + "".join(f"|{_figures(run, key)} " for run in runs) + f"|{_growth(runs, key)}"


def _figures(run: Run, key: Key) -> str:
    one = run.samples.get(key)
    if one is None:
        return f"{'':>36}"
    if one.refused is not None:
        return f"{one.refused[:35]:>36}"
    return f"{one.share(0.5):15.1f}{one.share(0.95):7.1f}{one.database:7.1f}{one.slowest:7.1f}"


def growth(runs: Sequence[Run], key: Key) -> float | None:
    """Return how much longer requests take at a million than at ten thousand, by their p95."""
    p95 = {run.size: run.samples[key].share(0.95) for run in runs if key in run.samples}
    return p95[LARGE] / p95[SMALL] if p95.get(SMALL) and p95.get(LARGE) else None


def _growth(runs: Sequence[Run], key: Key) -> str:
    found = growth(runs, key)
    if found is None:
        return ""
    return f"{found:8.2f}" + (" ABOVE 1.5" if key[0] in WITH_BAR and found > BAR else "")


def _walks(runs: Sequence[Run]) -> Iterator[str]:
    yield "a walk by cursor through one task of seven, 100 a page: milliseconds of a page at its beginning, middle, end"
    for run in runs:
        for who, walk in run.walks.items():
            begin, middle, end = walk.parts
            once = "each task once" if walk.distinct and walk.tasks == walk.expected else "NOT EACH TASK ONCE"
            figures = f"{walk.pages:>6} pages {begin:8.1f}{middle:8.1f}{end:8.1f}"
            yield f"  {run.size:>9,} {who:14}{figures}   {walk.tasks} of {walk.expected} tasks, {once}"


def _summary(runs: Sequence[Run]) -> Iterator[str]:
    yield "the machine: a row by its key straight from PostgreSQL, between all of this; and the time that it took"
    for run in runs:
        times = sorted(run.reference)
        reference = f"p50 {times[len(times) // 2]:.2f}, p95 {times[int(0.95 * len(times))]:.2f} ms" if times else ""
        yield f"  {run.size:>9,} {reference}; filled {run.filled_seconds:.0f} s, measured {run.measured_seconds:.0f} s"
    yield f"statements of lists and searches (bar: {AVERAGE_BAR:.0f} ms on average), and of everything"
    for run in runs:
        everything = {key[0] for key in run.samples}
        yield f"  {run.size:>9,} {_average(run, WITH_BAR):.2f} ms, {_average(run, everything):.2f} ms"


def _average(run: Run, groups: set[str]) -> float:
    chosen = [one for key, one in run.samples.items() if key[0] in groups and one.refused is None]
    return sum(one.statement * one.statements for one in chosen) / max(1, sum(one.statements for one in chosen))
