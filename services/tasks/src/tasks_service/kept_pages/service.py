"""Pages of lists, as they were written, with where the logs stood: while they stand there the page is the same.

All that a page shows is written with an entry of the log of its workspace, in one commit (ADR 19).
"""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple
from uuid import UUID

from chassis.identity import Principal
from prometheus_client import Counter

from tasks_service.keeping.rules import KEPT_SECONDS, Kept
from tasks_service.kept_pages.repository import Standing
from tasks_service.timezones.service import zone_or_utc

KEPT = Counter("taskloom_kept_pages_total", "Pages of lists, by whether what was kept of them held.", ["outcome"])
TOLD_AGAIN, CHANGED, UNKNOWN, NOT_LOOKED_AT = (
    KEPT.labels(outcome) for outcome in ("told_again", "changed", "unknown", "not_looked_at")
)
BESIDES = 3072
"""About how many bytes a page takes at most besides its tasks: what it is kept by, and what is said of it."""


class Shown(NamedTuple):
    """A page as it is shown: its tasks, written as JSON, what is said of it, and where the logs stood.

    There is no `log_at` where that was not looked at, or where the caller sees no workspace.
    """

    tasks: bytes
    meta: dict[str, Any]
    log_at: UUID | None


class KeptPage(NamedTuple):
    """A page that is kept; it `is_worth_a_look` unless it had changed when it was last asked for."""

    shown: Shown
    is_worth_a_look: bool


class KeptPages(Kept[KeptPage]):
    """Pages of lists, up to so many bytes."""

    def __init__(self, most: int, seconds: float = KEPT_SECONDS) -> None:
        super().__init__(seconds, most=most)

    def weight(self, found: KeptPage) -> int:
        """Return about how many bytes a page takes."""
        return BESIDES + len(found.shown.tasks)


def for_whom(caller: Principal, asked: Hashable) -> Hashable:
    """Return what tells what is `asked` by a caller from what anybody else asks, or the same user by another token."""
    return caller.user_id, caller.workspace_id, caller.project_ids, asked


async def page_of(
    pages: KeptPages,
    made_for: Hashable,
    *,
    look: Callable[[], Awaitable[Standing]],
    find: Callable[[], Awaitable[Shown]],
) -> Shown:
    """Return the page that is kept for somebody, as long as it is what `find` would find, or what that finds.

    To look whether it is costs a fifth of finding it, so nothing is looked at that keeps changing.
    """
    now = time.monotonic()
    kept = pages.find(made_for, now=now)
    if kept is None:
        UNKNOWN.inc()
    elif not kept.is_worth_a_look:
        NOT_LOOKED_AT.inc()
    elif (same := _if_same(kept.shown, await look())) is not None:
        TOLD_AGAIN.inc()
        return same
    else:
        CHANGED.inc()
    shown = await find()
    if shown.log_at is not None:
        is_worth_a_look = kept is None or kept.shown.log_at == shown.log_at
        pages.keep(made_for, KeptPage(shown, is_worth_a_look), now=now)
    return shown


def _if_same(shown: Shown, standing: Standing) -> Shown | None:
    """Return a page, with the caller's zone as it is now, if all else is as it was."""
    if standing.log_at != shown.log_at:
        return None
    if "timezone" not in shown.meta:
        return shown
    return shown._replace(meta={**shown.meta, "timezone": zone_or_utc(standing.zone).key})
