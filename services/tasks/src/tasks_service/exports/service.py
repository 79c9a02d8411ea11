"""Use cases of exports: asked for, written by a worker step by step, and fetched by a link."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.db.engine import Database
from chassis.db.row_security import reading_primary
from chassis.errors import ErrorDetail, InvalidInput
from chassis.filtering import written as filtering
from chassis.filtering.binding import bind_all
from chassis.filtering.documents import parse_filter, parse_taken
from chassis.filtering.printing import as_json
from chassis.filtering.values import Context
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.data_lines.rules import FORMAT, encoded
from tasks_service.data_tables.rules import COLUMNS, as_row
from tasks_service.export_reading.rules import Wanted
from tasks_service.export_reading.service import Place, Reading, read_on
from tasks_service.exports import repository
from tasks_service.exports.errors import ExportMissing, HistoryOfAll
from tasks_service.exports.rules import LINK_LASTS, ExportTerms, Link, path_of
from tasks_service.exports.schemas import ExportCreate, ExportOut, Manifest, Written
from tasks_service.fields.rules import FIELDS
from tasks_service.file_parts import repository as parts
from tasks_service.file_parts.rules import PART_BYTES
from tasks_service.file_parts.service import allowed_workspace
from tasks_service.jobs.schemas import Progress, RunningJob
from tasks_service.jobs.service import start_job
from tasks_service.saved_filters.rules import read
from tasks_service.saved_filters.service import find_chosen
from tasks_service.timezones.service import zone_of

LINES_OF_A_STEP = 1_000
BYTES_OF_A_STEP = PART_BYTES
LEAST_OF_A_LOOK = 50
SEARCHES = ErrorDetail("NOT_ALLOWED", "This filter searches for words, which an export does not.", "filter_id")


async def start_export(
    session: AsyncSession, *, wanted: ExportCreate, asked_for: ZoneInfo | None, actor: Principal
) -> RowMapping:
    """Leave an export to the workers, and return its job. A filter is that of now: its dates are no others later.

    Raises WorkspaceNotFound, Forbidden, TooManyJobs, FilterNotFound, HistoryOfAll, and what is wrong with the filter.
    """
    await allowed_workspace(session, actor, wanted.workspace_id, "workspace.export")
    export_id = uuid7()
    narrowed: dict[str, Any] = {}
    filters = [] if wanted.filter is None else [parse_filter(wanted.filter)]
    if wanted.filter_id is not None:
        filters += await _kept_filter(session, wanted.filter_id, actor)
    if filters:
        if "history" in wanted.include:
            raise HistoryOfAll(field="include")
        zone = await zone_of(session, caller=actor, asked_for=asked_for)
        node = bind_all(filters, FIELDS, Context(actor.user_id, zone, utcnow()))
        narrowed = {"filter": as_json(node), "timezone": zone.key}
    return await start_job(
        session,
        kind="export",
        workspace_id=wanted.workspace_id,
        parameters={"format": wanted.format, "include": sorted(set(wanted.include)), **narrowed},
        actor=actor,
        is_confined=True,
        job_id=export_id,
        result_url=f"/api/v1/exports/{export_id}",
    )


async def _kept_filter(session: AsyncSession, filter_id: UUID, actor: Principal) -> list[filtering.Written]:
    """Return what a saved filter was kept as. Raises FilterNotFound, and InvalidInput for one that searches."""
    row = await find_chosen(session, caller=actor, filter_id=filter_id)
    if row["q"] is not None:
        raise InvalidInput(details=[SEARCHES])
    return [] if row["filter"] is None else [read(row["filter"])]


def shown(row: RowMapping, terms: ExportTerms) -> ExportOut:
    """Return an export as its maker sees it, with a new link once there is something to fetch."""
    state = Written.model_validate(row["state"])
    now = utcnow()
    is_there = row["status"] == "succeeded" and now < row["finished_at"] + terms.kept
    link = _link(row, terms, int((now + LINK_LASTS).timestamp())) if is_there else None
    return ExportOut(
        id=row["id"],
        job_id=row["id"],
        workspace_id=row["workspace_id"],
        format=row["parameters"]["format"],
        include=row["parameters"]["include"],
        filter=row["parameters"].get("filter"),
        status=row["status"],
        size=state.size if is_there else None,
        sha256=state.sha256 if is_there else None,
        manifest=Manifest(counts=state.counts) if is_there else None,
        url=None if link is None else path_of(link),
        url_expires_at=None if link is None else now.fromtimestamp(link.expires, tz=now.tzinfo),
        expires_at=None if row["finished_at"] is None else row["finished_at"] + terms.kept,
        created_at=row["created_at"],
    )


def _link(row: RowMapping, terms: ExportTerms, expires: int) -> Link:
    return Link(row["id"], row["created_by"], expires, terms.sign(row["id"], row["created_by"], expires))


async def find_by_link(database: Database, *, link: Link, terms: ExportTerms) -> RowMapping:
    """Return the export that a link is for. Raises ExportMissing, whatever is wrong.

    Nobody is known to ask, so it is read as the owner of the tables: the link names the maker, and the statement
    looks at what that one may do now.
    """
    now = utcnow()
    if not terms.is_signed(link, now):
        raise ExportMissing
    async with reading_primary(database, None) as reader:
        row = await repository.find_for_link(
            reader, export_id=link.export_id, user_id=link.user_id, finished_after=now - terms.kept
        )
    if row is None:
        raise ExportMissing
    return row


async def content_of(database: Database, export_id: UUID, size: int) -> AsyncIterator[bytes]:
    """Yield a file piece by piece, from where its link is looked up; no connection is held while its reader is slow."""
    position = 0
    while position < size:
        async with reading_primary(database, None) as reader:
            piece = await parts.read(reader, export_id, position=position)
        if piece is None:
            return
        position += len(piece)
        yield piece


async def write_step(session: AsyncSession, job: RunningJob) -> Progress:
    """Write the next part of an export. Raises WorkspaceNotFound, Forbidden for whoever may not have it any more."""
    workspace = await allowed_workspace(session, job.actor, job.workspace_id, "workspace.export")
    state = Written.model_validate(job.state)
    of_file = {"file_id": job.id, "workspace_id": job.workspace_id, "created_by": job.actor.user_id}
    include = frozenset(job.parameters["include"])
    reading_of = Reading(job.actor, job.workspace_id, job.parameters["format"], include, _narrowed(job))
    if state.is_read:
        return await _finish(session, job, state, of_file)
    if state.place is None:
        written, place = _head(reading_of, workspace), reading_of.begin()
    else:
        written, place = [], Place.model_validate(state.place)
    counts = Counter(state.counts)
    further = await _write(session, reading_of, place, written, counts)
    content = b"".join(written)
    await parts.append(session, of_file, position=state.size, content=content)
    after = Written(
        place=None if further is None else further.model_dump(mode="json"),
        is_read=further is None,
        size=state.size + len(content),
        counts=dict(counts),
    )
    return Progress(done=counts.total(), state=after.model_dump(mode="json"))


def _narrowed(job: RunningJob) -> Wanted | None:
    """Return which tasks are exported; what a filter says of dates was settled when it was asked for."""
    given = job.parameters.get("filter")
    if given is None:
        return None
    zone = ZoneInfo(job.parameters["timezone"])
    # Those that were joined are as large as they may be each by itself.
    written = [parse_taken(one) for one in given.get("and", [given])]
    return Wanted(bind_all(written, FIELDS, Context(job.actor.user_id, zone, utcnow())), zone)


def _head(reading_of: Reading, workspace: RowMapping) -> list[bytes]:
    if reading_of.format == "csv":
        return [as_row(COLUMNS)]
    head = {
        "taskloom": FORMAT,
        "kind": "head",
        "workspace": {"id": workspace["id"], "name": workspace["name"]},
        "created_at": utcnow(),
        "include": sorted(reading_of.include),
    }
    if reading_of.wanted is not None:
        head["filter"] = as_json(reading_of.wanted.node)
    return [encoded(head)]


async def _write(
    session: AsyncSession, reading_of: Reading, place: Place, written: list[bytes], counts: Counter[str]
) -> Place | None:
    """Add what comes next, until it is enough for a step; return where it goes on."""
    further: Place | None = place
    lines = 0
    while further is not None and lines < LINES_OF_A_STEP and sum(map(len, written)) < BYTES_OF_A_STEP:
        found = await read_on(session, reading_of, further)
        written += _encoded(found.lines)
        counts.update(_kinds(found.lines))
        # Where little is found there has been something to look at, too.
        lines += max(len(found.lines), LEAST_OF_A_LOOK)
        further = found.next
    return further


def _encoded(lines: Sequence[Any]) -> list[bytes]:
    return [one if isinstance(one, bytes) else encoded(one) for one in lines]


def _kinds(lines: Sequence[Any]) -> list[str]:
    return ["task" if isinstance(one, bytes) else one["kind"] for one in lines]


async def _finish(session: AsyncSession, job: RunningJob, state: Written, of_file: dict[str, Any]) -> Progress:
    """Sum up a file that is written, and end it with a line that says what is in it."""
    digest = hashlib.sha256()
    position = 0
    while (piece := await parts.read(session, job.id, position=position)) is not None:
        digest.update(piece)
        position += len(piece)
    end = b""
    if job.parameters["format"] == "ndjson":
        end = encoded({"kind": "end", "counts": state.counts, "sha256": digest.hexdigest()})
        digest.update(end)
        await parts.append(session, of_file, position=state.size, content=end)
    after = state.model_copy(update={"size": state.size + len(end), "sha256": digest.hexdigest()})
    return Progress(done=job.done, total=job.done, state=after.model_dump(mode="json"), is_finished=True)
