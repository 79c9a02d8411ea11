from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import RowMapping

MAX_BODY = 10_000
Body = Annotated[str, StringConstraints(min_length=1, max_length=MAX_BODY, pattern=r"\S")]
IN_MARKDOWN = (
    "What it says, in Markdown (CommonMark), 1 to 10,000 characters. `@[user:<id>]` mentions somebody, 50 at most."
)


class CommentCreate(BaseModel):
    """A new comment, or with `parent_id` a reply to one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"body": "Whole or skimmed?"}]})
    read_only_fields: ClassVar[frozenset[str]] = frozenset()

    body: Body = Field(description=IN_MARKDOWN, examples=["Whole or skimmed?"])
    parent_id: UUID | None = Field(default=None, description="The comment that it replies to, which is no reply.")


class CommentPatch(MergePatch):
    """A JSON merge patch (RFC 7396)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"body": "Whole milk, or skimmed?"}]})
    read_only_fields: ClassVar[frozenset[str]] = frozenset()

    body: Annotated[Body, NotNull] = Field(default="", description=IN_MARKDOWN, json_schema_extra=without_default)


class Author(BaseModel):
    """Who wrote something. The name is `Deleted user` of somebody who was deleted, and null until it is known."""

    id: UUID
    name: str | None
    deleted: bool


class ReactionsOut(BaseModel):
    """One emoji on a comment."""

    emoji: str
    count: int
    user_ids: list[UUID] = Field(description="Who reacted so, the first 50.")
    me: bool = Field(description="Whether you did.")


class CommentResource(BaseModel):
    """A comment as events show it: without anything about the reader."""

    id: UUID
    workspace_id: UUID
    task_id: UUID
    parent_id: UUID | None = Field(description="The comment that it replies to.")
    author_id: UUID
    body: str | None = Field(description="In Markdown; null once the comment is deleted.")
    mentions: list[UUID] = Field(description="Users whom it mentions, and who could see the task at that time.")
    version: int = Field(description="Raised by every change of the body; the entity tag.")
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: UUID | None

    @classmethod
    def in_event(cls, row: RowMapping) -> "CommentResource":
        """Make the resource of a row; rows come from our own tables and are not validated again."""
        return cls.model_construct(**{name: row[name] for name in CommentResource.model_fields})


class CommentOut(CommentResource):
    """A comment."""

    author: Author
    reply_count: int = Field(description="How many replies it has; deleted ones do not count.")
    reactions: list[ReactionsOut] = Field(description="The first that was given comes first.")

    @classmethod
    def of(cls, row: RowMapping) -> "CommentOut":
        """Make the resource of a row with what is read beside the comment."""
        return cls.model_construct(
            **{name: row[name] for name in CommentResource.model_fields},
            author=Author.model_construct(id=row["author_id"], name=row["author_name"], deleted=row["author_deleted"]),
            reply_count=row["reply_count"],
            reactions=[ReactionsOut.model_validate(one) for one in row["reactions"]],
        )


class CommentView(CommentOut):
    """A comment as it is read."""

    body_html: str | None = Field(
        default=None,
        description="Only with `include=html`: the body as sanitized HTML, which may go into a page as it is.",
        json_schema_extra=without_default,
    )

    @classmethod
    def rendered(cls, row: RowMapping, html: str | None) -> "CommentView":
        """Make the resource of a row with its body as HTML."""
        return cls.model_construct(**vars(CommentOut.of(row)), body_html=html)


class CommentVersionOut(BaseModel):
    """What a comment said before."""

    version: int
    body: str
    created_at: datetime = Field(description="When it was written.")

    @classmethod
    def of(cls, row: RowMapping) -> "CommentVersionOut":
        """Make the resource of a row."""
        return cls.model_construct(**{name: row[name] for name in cls.model_fields})


for _input in (CommentCreate, CommentPatch):
    _input.read_only_fields = frozenset(CommentOut.model_fields) - frozenset(_input.model_fields)


@dataclass(frozen=True, slots=True)
class Thread:
    """A list of comments of a task: those that are no replies, or the replies to one."""

    task_id: UUID
    parent_id: UUID | None

    def fingerprint(self) -> str:
        """Return a text that is equal for equal lists."""
        return repr((self.task_id, self.parent_id))


COMMENT_RESOURCE_EXAMPLE: Mapping[str, Any] = {
    "id": "0199d3b2-7b10-7c33-9f6a-2b1f6c0f5a21",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "parent_id": None,
    "author_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "body": "Whole or skimmed?",
    "mentions": [],
    "version": 1,
    "created_at": "2026-11-24T09:05:00Z",
    "edited_at": None,
    "deleted_at": None,
    "deleted_by": None,
}
COMMENT_EXAMPLE: Mapping[str, Any] = {
    **COMMENT_RESOURCE_EXAMPLE,
    "author": {"id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03", "name": "Ada", "deleted": False},
    "reply_count": 0,
    "reactions": [{"emoji": "👍", "count": 1, "user_ids": ["0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"], "me": True}],
}
VERSION_EXAMPLE: Mapping[str, Any] = {
    "version": 1,
    "body": "Whole or skimmed?",
    "created_at": "2026-11-24T09:05:00Z",
}
