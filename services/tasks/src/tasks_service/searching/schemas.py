from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from tasks_service.searching.rules import MAX_Q


def _with_a_word(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("INVALID_FORMAT", "A search needs a word: this is nothing but spaces.")
    return text


SearchedFor = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_Q),
    AfterValidator(_with_a_word),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_Q, "pattern": r"\S"}),
]
"""What is searched for."""


class Highlight(BaseModel):
    """Where the words are."""

    field: Literal["title", "key", "description", "comment", "attachment"]
    id: UUID = Field(description="Of the task, or of the comment or attachment.")
    text: str = Field(
        description="The text as HTML: everything in it is escaped, and matches are between `<mark>` and `</mark>`. "
        "Of a description or comment of more than 200 characters it is a part, with `…` where it is cut."
    )


HIGHLIGHT_EXAMPLE = {
    "field": "title",
    "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "text": "Buy <mark>milk</mark> &amp; bread",
}
