"""The ids that paths have, as the documents describe them."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

TaskId = Annotated[UUID, Path(description="Id of the task; a key, such as `PROJ-12`, is not taken here.")]
AttachmentId = Annotated[UUID, Path(description="Id of the file.")]
