"""The ids that paths have, as the documents describe them."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

UserId = Annotated[UUID, Path(description="Id of the user.")]
AccountId = Annotated[UUID, Path(description="Id of the service account, which is its id as a user.")]
TokenId = Annotated[UUID, Path(description="Id of the API token; neither its prefix nor its secret.")]
SessionId = Annotated[UUID, Path(description="Id of the session.")]
PasskeyId = Annotated[UUID, Path(description="Id of the passkey here, which is not its credential id.")]
IdentityId = Annotated[UUID, Path(description="Id of the linked identity.")]
