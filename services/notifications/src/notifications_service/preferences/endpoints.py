from typing import Annotated
from uuid import UUID

from chassis.clock import utcnow
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.envelope import Envelope
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import scope
from fastapi import Query, Request, Response

from notifications_service.kinds import Kind
from notifications_service.preferences import service
from notifications_service.preferences.access import PlacedPreferences, WholeCaller
from notifications_service.preferences.errors import PreferencesVersionConflict, ProjectNotFound, WorkspaceNotFound
from notifications_service.preferences.schemas import (
    EFFECTIVE_EXAMPLE,
    PREFERENCES_EXAMPLE,
    EffectiveOut,
    PreferencesOut,
)

router = APIRouter(prefix="/api/v1/users/me/notification-preferences", tags=["notification preferences"])

ETAG = {"ETag": 'The version of your preferences, in quotes; `"0"` before the first.'}


@router.get(
    "",
    summary="Read your notification preferences",
    description=(
        "What you want to be told, on which channel, and when. What no line is about is as everybody has it; "
        "`/effective` tells what that comes to. Lines of workspaces and projects that you do not see are left out."
    ),
    response_model=Envelope[PreferencesOut],
    responses={
        200: example(PREFERENCES_EXAMPLE, description="Your preferences.", headers=ETAG),
        304: {"description": "Your preferences are still at the version in If-None-Match."},
    },
)
@scope("notifications:read")
async def read_preferences(request: Request, caller: WholeCaller, connection: PrimaryConnection) -> Response:
    found = await service.read_preferences(connection, user_id=caller.user_id)
    return unless_unchanged(request, reply(found, headers={"etag": etag(found.version)}))


@router.put(
    "",
    summary="Replace your notification preferences",
    description=(
        "All of them: what you leave out is as for who has asked for nothing. Of the lines that fit, the one with the "
        "narrowest scope counts, and of these the one that names the kind. In quiet hours mail, chat and push wait. "
        "`digest` of mail waits for your digest, and is not sent when you have none. `off` of the inbox makes "
        "no notification at all. If-Match keeps you from overwriting what you have not seen."
    ),
    response_model=Envelope[PreferencesOut],
    responses={
        200: example(PREFERENCES_EXAMPLE, description="Your preferences from now on.", headers=ETAG),
        **errors(
            WorkspaceNotFound,
            ProjectNotFound,
            stale(PreferencesVersionConflict, PREFERENCES_EXAMPLE, "preferences"),
            IfMatchMalformed,
        ),
    },
)
@scope("notifications:write")
async def replace_preferences(
    body: PlacedPreferences, caller: WholeCaller, write: Writing, expected: ExpectedVersion
) -> Response:
    found = await service.replace_preferences(write.session, user_id=caller.user_id, wanted=body, expected=expected)
    return write.reply(found, headers={"etag": etag(found.version)})


@router.get(
    "/effective",
    summary="Tell how you would be told of something",
    description=(
        "What holds for a kind in a place on each channel, and why: the line that counts, or the default. `due_at` is "
        "when you would be told of what happens now: at once, or at the end of your quiet hours."
    ),
    response_model=Envelope[EffectiveOut],
    responses={
        200: example(EFFECTIVE_EXAMPLE, description="What holds on each channel."),
        **errors(WorkspaceNotFound, ProjectNotFound),
    },
)
@scope("notifications:read")
async def read_effective_preferences(
    caller: WholeCaller,
    connection: PrimaryConnection,
    kind: Annotated[Kind, Query(description="What of.")],
    workspace_id: Annotated[UUID | None, Query(description="In this workspace.")] = None,
    project_id: Annotated[UUID | None, Query(description="In this project.")] = None,
) -> Response:
    found = await service.explain(
        connection,
        user_id=caller.user_id,
        kind=kind,
        workspace_id=workspace_id,
        project_id=project_id,
        now=utcnow(),
    )
    return reply(found)
