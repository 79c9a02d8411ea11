"""The ids that paths have, as the documents describe them."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

WorkspaceId = Annotated[UUID, Path(description="Id of the workspace.")]
ProjectId = Annotated[UUID, Path(description="Id of the project.")]
StatusId = Annotated[UUID, Path(description="Id of the status, which is not its key.")]
CategoryId = Annotated[UUID, Path(description="Id of the category.")]
LabelId = Annotated[UUID, Path(description="Id of the label.")]
FilterId = Annotated[UUID, Path(description="Id of the saved filter.")]
CommentId = Annotated[UUID, Path(description="Id of the comment, which may be a reply.")]
ChecklistItemId = Annotated[UUID, Path(description="Id of the item.")]
RelationId = Annotated[UUID, Path(description="Id of the relation, the same seen from either end.")]
InvitationId = Annotated[UUID, Path(description="Id of the invitation.")]
UserId = Annotated[UUID, Path(description="Id of the user, or of the service account.")]
JobId = Annotated[UUID, Path(description="Id of the job.")]
ExportId = Annotated[UUID, Path(description="Id of the export.")]
