"""Taking a file in, some lines at a time.

A step is one transaction: what is made, what is told of lines, and how far the file has been read. What is made of a
line is noted with it, so whoever brings the line again makes nothing. Rows are locked in the order of all others: the
workspace, memberships, projects, tasks, the log.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from chassis.db.failures import sqlstate
from chassis.errors import ErrorDetail
from chassis.identity import Principal
from chassis.web.envelope import entry_of
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.data_lines.rules import MAX_LINE, MAX_LINES, cut
from tasks_service.data_lines.schemas import TOLD_ONLY, BrokenLine, Line, ToldLine, line_of, read_line
from tasks_service.data_tables.rules import BYTE_ORDER_MARK, COLUMNS, header_of, named_cells, records
from tasks_service.file_parts import repository as parts
from tasks_service.file_parts.service import allowed_workspace
from tasks_service.import_comments.service import take_comments, take_reactions
from tasks_service.import_details.service import take_checklist_items, take_metadata, take_relations
from tasks_service.import_marks.service import take_personal_labels, take_stars, take_watchers
from tasks_service.import_places.service import archive_projects, take_named, take_projects
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.schemas import Incoming, Taking, Terms
from tasks_service.import_tables.repository import find_place
from tasks_service.import_tables.schemas import TaskRow, as_fields
from tasks_service.import_tables.service import identified, take_rows
from tasks_service.import_tasks import repository as tasks_repository
from tasks_service.import_tasks.service import take_tasks
from tasks_service.imports.errors import ColumnRepeated, FileNotText, TitleMissing
from tasks_service.imports.rules import CHECKSUM_MISMATCH, FILE_CUT, Whole, note
from tasks_service.imports.schemas import ImportFile, Progressed
from tasks_service.jobs import service as jobs
from tasks_service.jobs.schemas import ItemResult, Progress, RunningJob
from tasks_service.projects import repository as projects
from tasks_service.projects.rules import ProjectLimits
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.visibility.repository import hold_members

Take = Callable[[AsyncSession, Taking, Sequence[Incoming]], Awaitable[None]]

TAKES: Mapping[str, Take] = {
    "project": take_projects,
    "category": take_named,
    "label": take_named,
    "task": take_tasks,
    "checklist_item": take_checklist_items,
    "relation": take_relations,
    "comment": take_comments,
    "reaction": take_reactions,
    "watcher": take_watchers,
    "star": take_stars,
    "personal_label": take_personal_labels,
    "task_metadata": take_metadata,
}
REASON = "import"
"""What the log says of why something was made."""
OF_VALUES = ("22", "23")
"""Classes of SQL states that say that something about the values is wrong."""
ROW = "row"
MOST_NAMED = 200
"""How much is told of the names of columns, in characters."""


@dataclass(frozen=True, slots=True)
class Read:
    """Lines of a file: those that are what they should be, what is wrong with others, and where the next begin."""

    incoming: Sequence[Incoming]
    broken: Mapping[int, ErrorDetail]
    kinds: Mapping[int, str]
    after: Progressed
    warned: Mapping[int, ErrorDetail] = field(default_factory=dict)


async def start_import(
    session: AsyncSession, *, file_id: UUID, workspace_id: UUID, wanted: ImportFile, actor: Principal
) -> RowMapping:
    """Leave a file to the workers, and return the job. Raises ProjectNotFound, TooManyJobs."""
    if wanted.project_id is not None and await find_place(session, workspace_id, wanted.project_id) is None:
        raise ProjectNotFound(field="project_id")
    return await jobs.start_job(
        session,
        kind="import",
        workspace_id=workspace_id,
        parameters=wanted.model_dump(mode="json"),
        actor=actor,
        is_confined=True,
        total=wanted.lines,
        job_id=file_id,
        result_url=f"/api/v1/jobs/{file_id}/results",
    )


async def take_step(session: AsyncSession, job: RunningJob, limits: ProjectLimits) -> Progress:
    """Take the next lines of a file in.

    Raises FileNotText, TitleMissing, ColumnRepeated, and what allowed_workspace raises.
    """
    workspace = await allowed_workspace(session, job.actor, job.workspace_id, "workspace.import")
    file, state = ImportFile.model_validate(job.parameters), Progressed.model_validate(job.state)
    if state.position >= file.size:
        return await _finish(session, job, file, state)
    terms = Terms(
        job_id=job.id,
        workspace_id=job.workspace_id,
        actor=job.actor,
        members=await sources.members_of(session, job.workspace_id),
        limits=limits,
        is_personal=workspace["personal_owner_id"] == job.actor.user_id,
        is_dry=file.is_dry,
    )
    read = await _read(session, job.id, file, state)
    taking = await _take(session, terms, file, read)
    taking.broken |= read.broken
    for number, detail in read.warned.items():
        taking.warned.setdefault(number, []).append(detail)
    await _tell(session, job, read, taking)
    await _note_archived(session, terms, read)
    if taking.drafts:
        await _record(session, job, taking.drafts)
    return Progress(
        done=max(read.after.line, job.done),
        failed=job.failed + len(taking.broken),
        total=file.lines,
        state=read.after.model_dump(mode="json"),
    )


async def _finish(session: AsyncSession, job: RunningJob, file: ImportFile, state: Progressed) -> Progress:
    """Archive what was archived elsewhere, now that all is in it, and forget the file."""
    archived = {one: datetime.fromisoformat(since) for one, since in state.archived.items()}
    await projects.lock_tree(session, job.workspace_id)
    drafts = await archive_projects(session, archived) if archived else []
    await _tell_whether_whole(session, job, file, state.whole)
    await parts.remove(session, [job.id])
    await sources.forget(session, job.id)
    if drafts:
        await _record(session, job, drafts)
    return Progress(done=file.lines, failed=job.failed, total=file.lines, is_finished=True)


async def _record(session: AsyncSession, job: RunningJob, drafts: Sequence[ChangeDraft]) -> None:
    """Write down what was taken in; nobody is notified of it as of something new."""
    await changes.record(
        session, workspace_id=job.workspace_id, actor=job.actor, drafts=drafts, reason=REASON, quiet=True
    )


async def _tell_whether_whole(session: AsyncSession, job: RunningJob, file: ImportFile, whole: Whole) -> None:
    """Tell of an export that is cut or changed; whoever writes lines by hand says nothing of how many there are."""
    if whole.end is not None:
        digest = hashlib.sha256()
        position = whole.begin or 0
        while position < whole.end.position:
            piece = (await parts.read(session, job.id, position=position) or b"")[: whole.end.position - position]
            digest.update(piece)
            position += len(piece) or whole.end.position
        if digest.hexdigest() != whole.end.sha256:
            await jobs.tell_results(session, job, [_result(whole.end.line, "end", None, [CHECKSUM_MISMATCH])])
    elif whole.begin is not None:
        await jobs.tell_results(session, job, [_result(file.lines + 1, "end", None, [FILE_CUT])])


async def _read(session: AsyncSession, job_id: UUID, file: ImportFile, state: Progressed) -> Read:
    window = await parts.window(session, job_id, position=state.position, size=MAX_LINE + 1)
    is_whole = state.position + len(window) >= file.size
    if state.skips:
        return _skipped(window, state)
    # Rows have any number of lines: how many of them there are is not known before they are read.
    found = cut(window, is_whole=is_whole, limit=MAX_LINES if file.format == "ndjson" else len(window))
    if found.is_too_long:
        if file.format == "csv" and state.header is None:
            raise TitleMissing
        detail = ErrorDetail("TOO_LONG", "This line is longer than it may be.", None)
        skipped = _skipped(window, state)
        return replace(skipped, broken={state.line + 1: detail})
    if file.format == "csv":
        return _read_table(found.lines, state, is_whole=is_whole and found.size == len(window))
    return _read_lines(found.lines, state)


def _skipped(window: bytes, state: Progressed) -> Read:
    """Pass over the rest of a line that is too long."""
    end = window.find(b"\n") + 1
    moved = {
        "position": state.position + (end or len(window)),
        "skips": not end,
        "line": state.line + (1 if end else 0),
    }
    return Read([], {}, {}, state.model_copy(update=moved))


def _read_lines(lines: Sequence[bytes], state: Progressed) -> Read:
    incoming: list[Incoming] = []
    broken: dict[int, ErrorDetail] = {}
    kinds: dict[int, str] = {}
    after = state.position
    for number, raw in enumerate(lines, start=state.line + 1):
        content = raw.removeprefix(BYTE_ORDER_MARK.encode()) if number == 1 else raw
        after += len(raw)
        if not content.strip():
            continue
        line: Line | ToldLine | None = None
        try:
            line = read_line(content)
            kinds[number] = line.kind
        except BrokenLine as problem:
            broken[number] = problem.details[0]
            kinds[number] = problem.kind or ""
        note(state.whole, kinds[number], line, number=number, position=after - len(content))
        if line is not None and line.kind not in TOLD_ONLY:
            incoming.append(Incoming(number, line.kind, line))
    moved = {"position": state.position + sum(map(len, lines)), "line": state.line + len(lines)}
    return Read(incoming, broken, kinds, state.model_copy(update=moved))


def _read_table(lines: Sequence[bytes], state: Progressed, *, is_whole: bool) -> Read:
    """Read rows.

    Raises FileNotText for a table in another encoding, TitleMissing for one without titles, ColumnRepeated for one
    with two of a column.
    """
    broken: dict[int, ErrorDetail] = {}
    incoming: list[Incoming] = []
    texts = [_text(raw) for raw in lines]
    header, used = state.header, 0
    if header is None:
        if texts[0] is None or "\0" in texts[0]:
            raise FileNotText
        texts[0] = texts[0].removeprefix(BYTE_ORDER_MARK)
    warned: dict[int, ErrorDetail] = {}
    for record in records([one or "\n" for one in texts], limit=MAX_LINES, is_whole=is_whole):
        number, used = state.line + record.start + 1, record.start + record.lines
        if header is None:
            header = header_of(record.cells or [])
            if any("\0" in name for name in header):
                raise FileNotText
            if "title" not in header:
                raise TitleMissing
            if any(header.count(name) > 1 for name in COLUMNS):
                raise ColumnRepeated
            warned = _unknown_columns(number, header)
            continue
        try:
            is_text = None not in texts[record.start : used]
            incoming += _row(number, header, record.cells if is_text else None)
        except BrokenLine as problem:
            broken[number] = problem.details[0]
    moved = {
        "position": state.position + sum(len(one) for one in lines[:used]),
        "line": state.line + used,
        "header": header,
    }
    return Read(incoming, broken, dict.fromkeys(broken, "task"), state.model_copy(update=moved), warned)


def _unknown_columns(number: int, header: Sequence[str]) -> dict[int, ErrorDetail]:
    unknown = [name for name in header if name and name not in COLUMNS]
    named = ", ".join(unknown)[:MOST_NAMED] or None
    return {number: ErrorDetail("UNKNOWN_FIELD", "What is in these columns is left out.", named)} if unknown else {}


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _row(number: int, header: Sequence[str], cells: Sequence[str] | None) -> list[Incoming]:
    """Return what a row says, which is nothing for an empty line. Raises BrokenLine."""
    if cells is not None and not any(cells):
        return []
    try:
        fields = as_fields(named_cells(header, cells)) if cells is not None else None
    except ValueError:
        fields = None
    if fields is None:
        sentence = "This row is no CSV in UTF-8, has a cell that is too long, or more cells than there are columns."
        raise BrokenLine((ErrorDetail("MALFORMED_ROW", sentence, None),), "task")
    return [Incoming(number, ROW, line_of(TaskRow, fields, "task"))]


async def _take(session: AsyncSession, terms: Terms, file: ImportFile, read: Read) -> Taking:
    """Take lines in, those of a kind together; where the database refuses some, each by itself."""
    incoming = list(read.incoming)
    if file.format == "csv":
        rows = [one.line for one in incoming]
        ids = await identified(session, terms, rows, project_id=file.project_id)
        incoming = [replace(one, line=(source_id, one.line)) for one, source_id in zip(incoming, ids, strict=True)]
    if not terms.is_dry:
        await _lock(session, terms, incoming)
    taking = Taking(terms)
    for kind, group in groupby(incoming, key=lambda one: one.kind):
        await _take_group(session, taking, _take_of(kind, file), list(group))
    return taking


def _take_of(kind: str, file: ImportFile) -> Take:
    if kind != ROW:
        return TAKES[kind]

    async def take(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
        await take_rows(session, taking, incoming, project_id=file.project_id)

    return take


async def _take_group(session: AsyncSession, taking: Taking, take: Take, group: Sequence[Incoming]) -> None:
    attempt = Taking(taking.terms)
    try:
        async with session.begin_nested():
            await take(session, attempt, group)
    except DBAPIError as error:
        if (sqlstate(error) or "")[:2] not in OF_VALUES:
            raise
        if len(group) == 1:
            taking.fail(group[0].number, "NOT_ACCEPTED", "This can't be kept as it is.")
            return
        for one in group:
            await _take_group(session, taking, take, [one])
        return
    taking.merge(attempt)


async def _lock(session: AsyncSession, terms: Terms, incoming: Sequence[Incoming]) -> None:
    """Lock what several kinds of lines need, in the one order: the maker's membership, too, which may have ended."""
    if any(one.kind in {"project", ROW} for one in incoming):
        await projects.lock_tree(session, terms.workspace_id)
    people = {part.user_id for one in incoming if one.kind == "task" for part in one.line.assignees}
    people |= {one.line.assignee_id for one in incoming if one.kind == "checklist_item"} - {None}
    people |= {one.line.user_id for one in incoming if one.kind == "watcher"}
    held = {terms.actor.user_id, *(people & terms.members)}
    await hold_members(session, workspace_id=terms.workspace_id, user_ids=held)
    await allowed_workspace(session, terms.actor, terms.workspace_id, "workspace.import")
    named = {one.line.project_id for one in incoming if one.kind == "task"}
    targets = await sources.find(session, terms, "project", named)
    await tasks_repository.lock_projects(session, {one.id for one in targets.values()})


async def _note_archived(session: AsyncSession, terms: Terms, read: Read) -> None:
    lines = {one.line.id: one.line.archived_at for one in read.incoming if one.kind == "project"}
    since = {one: at for one, at in lines.items() if at is not None}
    targets = await sources.find(session, terms, "project", since)
    made = await sources.are_made_here(session, terms, "project", [one.id for one in targets.values()])
    read.after.archived.update({one.id: since[name].isoformat() for name, one in targets.items() if one.id in made})


async def _tell(session: AsyncSession, job: RunningJob, read: Read, taking: Taking) -> None:
    """Tell of lines with which something is wrong; of the others there is nothing to tell."""
    kinds = {one.number: "task" if one.kind == ROW else one.kind for one in read.incoming} | dict(read.kinds)
    told = [
        _result(number, kinds.get(number) or None, taking.broken.get(number), taking.warned.get(number, ()))
        for number in sorted({*taking.broken, *taking.warned})
    ]
    await jobs.tell_results(session, job, told)


def _result(number: int, kind: str | None, error: ErrorDetail | None, warnings: Sequence[ErrorDetail]) -> ItemResult:
    return ItemResult(
        number - 1,
        succeeded=error is None,
        told={
            "op": "import",
            "line": number,
            "kind": kind,
            "error": None if error is None else _as_json(error),
            "warnings": [_as_json(one) for one in warnings] or None,
        },
    )


def _as_json(detail: ErrorDetail) -> dict[str, Any]:
    told = {"code": detail.code, "message": detail.message, "field": detail.field}
    return told if detail.hint is None and detail.allowed is None else {**told, "errors": [entry_of(detail)]}
