from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field


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
