"""The lines of an export, which are those that an import takes: one object each, with its `kind`.

What refers to something else comes after it: projects are after those that they are in, subtasks after their tasks.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args
from uuid import UUID

from chassis.dates import Day, Instant
from chassis.errors import AppError, ErrorDetail, InvalidInput, MalformedJson
from chassis.text import closest, hint_at
from chassis.web.strict_json import parse_json
from chassis.web.validation import invalid_input
from fractional_indexing import FIError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from tasks_service.assignees.rules import MAX_ASSIGNEES, State
from tasks_service.checklists.schemas import Text
from tasks_service.comments.schemas import Body
from tasks_service.dues.schemas import DueInput
from tasks_service.labels.schemas import LabelIds
from tasks_service.metadata.rules import NAMESPACE_PATTERN
from tasks_service.metadata.schemas import Value
from tasks_service.names.schemas import Color
from tasks_service.names.schemas import Name as ShortName
from tasks_service.ordering.rules import MAX_CHARACTERS, rank_between
from tasks_service.permissions.rules import ProjectRole, ShareRole
from tasks_service.positions.rules import NUMBERED
from tasks_service.projects.rules import BlockerRule, Visibility
from tasks_service.projects.schemas import Name
from tasks_service.relations.rules import StoredType
from tasks_service.statuses.schemas import Name as StatusName
from tasks_service.statuses.schemas import Place
from tasks_service.tasks.rules import KEY_PATTERN, Priority, StatusCategory
from tasks_service.tasks.schemas import (
    CompletionPolicy,
    Custom,
    Description,
    Estimate,
    ExternalId,
    ExternalSource,
    StatusKey,
    Title,
)
from tasks_service.watchers.rules import Reason

Kind = Literal[
    "head",
    "project",
    "category",
    "label",
    "task",
    "checklist_item",
    "relation",
    "comment",
    "reaction",
    "watcher",
    "star",
    "personal_label",
    "task_metadata",
    "attachment",
    "change",
    "end",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
TOLD_ONLY: frozenset[str] = frozenset({"head", "attachment", "change", "end"})
"""Lines from which nothing is made."""
MAX_NUMBER = 999_999_999


def _is_rank(value: str) -> str:
    try:
        rank_between(value, None)
    except FIError:
        raise PydanticCustomError("INVALID_FORMAT", "This is no place in an order, such as a1V.") from None
    return value


def _is_place_of_task(value: str) -> str:
    if len(value) > NUMBERED:
        _is_rank(value[NUMBERED:])
    return value


Rank = Annotated[str, StringConstraints(pattern=rf"^[0-9A-Za-z]{{2,{MAX_CHARACTERS}}}$"), AfterValidator(_is_rank)]
PlaceOfTask = Annotated[
    str,
    StringConstraints(pattern=r"^[mn][0-9]{10}V[0-9A-Za-z]*$", max_length=MAX_CHARACTERS),
    AfterValidator(_is_place_of_task),
]
Number = Annotated[StrictInt, Field(ge=1, le=MAX_NUMBER)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,9}$")]
Key = Annotated[str, StringConstraints(pattern=rf"^{KEY_PATTERN}$")]
Emoji = Annotated[str, StringConstraints(min_length=1, max_length=32)]
Namespace = Annotated[str, StringConstraints(pattern=NAMESPACE_PATTERN)]


class Part(BaseModel):
    """Something in a line."""

    model_config = ConfigDict(extra="forbid")


class Line(Part):
    """A line of a kind; of what it does not say there is what there would be without it."""

    kind: Kind
    created_at: Instant | None = None


class Identified(Line):
    """A line that others may refer to by its id, which is another one where it is imported."""

    id: UUID
    created_by: UUID | None = None
    updated_at: Instant | None = None


class StatusPart(Part):
    key: StatusKey
    name: StatusName
    category: StatusCategory
    position: Place
    created_at: Instant | None = None
    updated_at: Instant | None = None


class MemberPart(Part):
    user_id: UUID
    role: ProjectRole
    created_at: Instant | None = None


class ProjectLine(Identified):
    name: Name
    description: Description | None = None
    parent_id: UUID | None = None
    prefix: Prefix | None = None
    former_prefixes: Annotated[list[Prefix], Field(max_length=1000)] = Field(default_factory=list)
    next_number: Number = 1
    is_inbox: StrictBool = False
    visibility: Visibility = "workspace"
    member_role: ShareRole = "editor"
    enforce_blockers: BlockerRule = "off"
    archived_at: Instant | None = None
    statuses: Annotated[list[StatusPart], Field(max_length=100)] = Field(default_factory=list)
    members: Annotated[list[MemberPart], Field(max_length=5000)] = Field(default_factory=list)


class NamedLine(Identified):
    """A category or a label; a personal one is of whoever exported it, and becomes that of who imports it."""

    name: ShortName
    color: Color | None = None
    personal: StrictBool = False


class AssigneePart(Part):
    user_id: UUID
    state: State = "pending"
    assigned_by: UUID | None = None
    assigned_at: Instant | None = None


class SharePart(Part):
    user_id: UUID
    role: ShareRole
    shared_by: UUID | None = None
    created_at: Instant | None = None


class TaskLine(Identified):
    project_id: UUID
    title: Title
    key: Key | None = None
    number: Number | None = None
    former_keys: Annotated[list[Key], Field(max_length=1000)] = Field(default_factory=list)
    description: Description | None = None
    status: StatusKey | None = None
    priority: Priority = "none"
    category_id: UUID | None = None
    labels: LabelIds = Field(default_factory=list)
    parent_id: UUID | None = None
    assignees: Annotated[list[AssigneePart], Field(max_length=MAX_ASSIGNEES)] = Field(default_factory=list)
    shares: Annotated[list[SharePart], Field(max_length=5000)] = Field(default_factory=list)
    completion_policy: CompletionPolicy = "any"
    reopen_on_assign: StrictBool = False
    start: Day | None = None
    due: DueInput | None = None
    deadline: Day | None = None
    estimate_minutes: Estimate | None = None
    completed_at: Instant | None = None
    completed_by: UUID | None = None
    position: PlaceOfTask | None = None
    external_source: ExternalSource | None = None
    external_id: ExternalId | None = None
    custom: Custom = Field(default_factory=dict)


class ChecklistItemLine(Identified):
    task_id: UUID
    text: Text
    done: StrictBool = False
    done_at: Instant | None = None
    done_by: UUID | None = None
    assignee_id: UUID | None = None
    due_date: Day | None = None
    position: Rank | None = None


class RelationLine(Identified):
    type: StoredType
    from_task_id: UUID
    to_task_id: UUID


class CommentLine(Identified):
    """A comment, a reply, or with `deleted_at` the place of one."""

    task_id: UUID
    parent_id: UUID | None = None
    author_id: UUID | None = None
    body: Body | None = None
    mentions: Annotated[list[UUID], Field(max_length=50)] = Field(default_factory=list)
    edited_at: Instant | None = None
    deleted_at: Instant | None = None
    deleted_by: UUID | None = None


class ReactionLine(Line):
    comment_id: UUID
    user_id: UUID
    emoji: Emoji


class WatcherLine(Line):
    task_id: UUID
    user_id: UUID
    reason: Reason = "manual"
    is_watching: StrictBool = True
    is_muted: StrictBool = False


class StarLine(Line):
    task_id: UUID
    user_id: UUID


class PersonalLabelLine(Line):
    task_id: UUID
    label_id: UUID
    user_id: UUID


class MetadataLine(Line):
    task_id: UUID
    namespace: Namespace
    owner_id: UUID | None = None
    shared: StrictBool = False
    value: Value
    updated_at: Instant | None = None


class ToldLine(BaseModel):
    """A line that says something, of which nothing is made."""

    model_config = ConfigDict(extra="allow")

    kind: Kind


class Models:
    """The model of each kind."""

    by_kind: ClassVar[Mapping[str, type[Line] | type[ToldLine]]] = {
        "project": ProjectLine,
        "category": NamedLine,
        "label": NamedLine,
        "task": TaskLine,
        "checklist_item": ChecklistItemLine,
        "relation": RelationLine,
        "comment": CommentLine,
        "reaction": ReactionLine,
        "watcher": WatcherLine,
        "star": StarLine,
        "personal_label": PersonalLabelLine,
        "task_metadata": MetadataLine,
        **dict.fromkeys(TOLD_ONLY, ToldLine),
    }


class BrokenLine(Exception):
    """A line that can't be taken: of what kind it is, as far as it says, and what is wrong with it."""

    def __init__(self, details: tuple[ErrorDetail, ...], kind: str | None = None) -> None:
        super().__init__()
        self.details = details
        self.kind = kind


def read_line(raw: bytes) -> Line | ToldLine:
    """Return what a line says. Raises BrokenLine."""
    try:
        value = parse_json(raw)
    except MalformedJson as refusal:
        raise BrokenLine((ErrorDetail(refusal.code, "This line is not JSON.", None),)) from None
    except AppError as refusal:
        raise BrokenLine(tuple(refusal.details)) from None
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        hint = hint_at(closest(kind, KINDS)) if isinstance(kind, str) else None
        sentence = "A line is an object with one of the kinds."
        detail = ErrorDetail("NOT_ALLOWED", sentence, "kind", hint=hint)
        raise BrokenLine((detail,))
    found: Line | ToldLine = line_of(Models.by_kind[kind], value, kind)
    return found


def line_of(model: type[Any], value: Mapping[str, Any], kind: str) -> Any:
    """Return what an object says. Raises BrokenLine."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found: InvalidInput = invalid_input(error.errors(), known_fields=sorted(model.model_fields))  # type: ignore[arg-type] # a TypedDict
        raise BrokenLine(tuple(found.details), kind) from None
