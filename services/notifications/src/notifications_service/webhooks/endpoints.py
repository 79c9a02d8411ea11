from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden, TokenRestricted
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Write, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed, WantsMinimal
from chassis.web.replies import NO_STORE, etag, reply
from chassis.web.routing import scope
from fastapi import Query, Request, Response
from sqlalchemy import RowMapping

from notifications_service.event_patterns.errors import UnknownEvent
from notifications_service.terms import Channels
from notifications_service.webhooks import service
from notifications_service.webhooks.access import (
    AllowedPatch,
    AllowedWebhook,
    HeldWebhook,
    OwnWebhook,
    ReadableWebhook,
)
from notifications_service.webhooks.errors import (
    ScopeNotFound,
    TooManyWebhooks,
    WebhookMissing,
    WebhookVersionConflict,
)
from notifications_service.webhooks.repository import list_visible, of_scope
from notifications_service.webhooks.rules import ScopeType
from notifications_service.webhooks.schemas import (
    SECRET_EXAMPLE,
    WEBHOOK_EXAMPLE,
    WebhookOut,
    WebhookSecretOut,
)

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])

ETAG = {"ETag": "The webhook's version, in quotes."}
ONCE = {**ETAG, "Cache-Control": "`no-store`: a secret is kept by you, and nowhere on the way."}
STALE = stale(WebhookVersionConflict, WEBHOOK_EXAMPLE, "events")
MEANINGLESS = (UnknownEvent, InvalidFilter, FilterTooComplex)
CHANGING = (WebhookMissing, STALE, IfMatchMalformed)


@router.get(
    "",
    summary="List webhooks",
    description=(
        "Your own ones, and those of the workspaces and projects that you manage, the oldest first. API tokens that "
        "are restricted see those of scopes within their restriction."
    ),
    response_model=PageEnvelope[WebhookOut],
    responses={
        200: page_example(WEBHOOK_EXAMPLE, description="One page of webhooks."),
        **errors(PageTooDeep),
    },
)
@scope("webhooks:manage")
async def list_webhooks(
    request: Request,
    caller: CurrentPrincipal,
    connection: PrimaryConnection,
    paging: PagesQuery,
    workspace_id: Annotated[UUID | None, Query(description="Only of this workspace and its projects.")] = None,
    scope_type: Annotated[ScopeType | None, Query(description="Only of such scopes.")] = None,
    scope_id: Annotated[UUID | None, Query(description="Only of this scope.")] = None,
) -> Response:
    rows, total = await list_visible(
        connection,
        caller=caller,
        conditions=of_scope(scope_type, scope_id, workspace_id),
        limit=paging.per_page,
        offset=paging.offset,
    )
    return page_reply(request, [WebhookOut.of(row) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Create a webhook",
    description=(
        "Has events sent to a URL from now on, signed as Standard Webhooks says: verify `webhook-signature` with the "
        "secret, which is told now and never again. A webhook is sent what you see, within its scope, for as long as "
        "you see it. Webhooks of a workspace are made by its owners and admins, and of a project by its managers, too; "
        "there are at most 20 of a scope. What came before is sent by `/replay`."
    ),
    response_model=Envelope[WebhookSecretOut],
    responses={
        201: example(
            SECRET_EXAMPLE,
            description="The new webhook, with its secret.",
            headers={**ONCE, "Location": "Path of the new webhook."},
        ),
        **errors(Forbidden, TokenRestricted, ScopeNotFound, TooManyWebhooks, *MEANINGLESS),
    },
)
@scope("webhooks:manage")
async def create_webhook(
    body: AllowedWebhook, caller: CurrentPrincipal, channels: Channels, write: Writing
) -> Response:
    row, secret = await service.create_webhook(write.session, wanted=body, actor=caller, ring=channels.ring)
    return _told_once(write, row, secret, status=201)


@router.get(
    "/{webhook_id}",
    summary="Read a webhook",
    description="One webhook, with its youngest delivery. Its ETag goes into `If-Match` of a change.",
    response_model=Envelope[WebhookOut],
    responses={
        200: example(WEBHOOK_EXAMPLE, description="The webhook.", headers=ETAG),
        **errors(WebhookMissing),
    },
)
@scope("webhooks:manage")
async def read_webhook(found: ReadableWebhook) -> Response:
    return reply(WebhookOut.of(found), headers={"etag": etag(found["version"])})


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    description=(
        "A JSON merge patch: absent fields keep their value, null clears; lists and `filter` are replaced as a whole. "
        "Only its owner changes a webhook, since it is sent what its owner sees; who manages its scope may end it by "
        "`enabled: false`. While it is disabled nothing is sent: what waits is sent when it is enabled again, and what "
        "happens meanwhile by `/replay`."
    ),
    response_model=Envelope[WebhookOut],
    responses={
        200: example(
            {**WEBHOOK_EXAMPLE, "enabled": False, "disabled_reason": "owner", "version": 2},
            description="The webhook after the change.",
            headers=ETAG,
        ),
        **errors(Forbidden, *MEANINGLESS, *CHANGING),
    },
)
@scope("webhooks:manage")
async def update_webhook(
    body: AllowedPatch,
    held: HeldWebhook,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectedVersion,
) -> Response:
    row = await service.update_webhook(write.session, row=held, patch=body, expected=expected, actor=caller)
    return _changed(write, row)


@router.delete(
    "/{webhook_id}",
    summary="Delete a webhook",
    description="Ends a webhook, and forgets what was sent to it. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The webhook is gone."),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(*CHANGING),
    },
)
@scope("webhooks:manage")
async def delete_webhook(
    held: HeldWebhook, write: Writing, expected: ExpectedVersion, minimal: WantsMinimal
) -> Response:
    await service.delete_webhook(write.session, row=held, expected=expected)
    return write.no_content() if minimal else write.reply(None)


@router.post(
    "/{webhook_id}/enable",
    summary="Enable a webhook",
    description="Lets a webhook be sent to again, whatever ended it; its failures so far count no more.",
    response_model=Envelope[WebhookOut],
    responses={
        200: example(WEBHOOK_EXAMPLE, description="The webhook, enabled.", headers=ETAG),
        **errors(Forbidden, *CHANGING),
    },
)
@scope("webhooks:manage")
async def enable_webhook(own: OwnWebhook, write: Writing, expected: ExpectedVersion) -> Response:
    row = await service.enable_webhook(write.session, row=own, expected=expected)
    return _changed(write, row)


@router.post(
    "/{webhook_id}/rotate-secret",
    summary="Replace a webhook's secret",
    description=(
        "Makes a new secret, which is told now and never again. For 24 hours requests carry two signatures, of the new "
        "one and of the one before, so that nothing is refused while receivers are changed."
    ),
    response_model=Envelope[WebhookSecretOut],
    responses={
        200: example(
            {**SECRET_EXAMPLE, "secret_overlap_until": "2026-11-25T09:00:00Z", "version": 2},
            description="The webhook, with its new secret.",
            headers=ONCE,
        ),
        **errors(Forbidden, *CHANGING),
    },
)
@scope("webhooks:manage")
async def rotate_secret(own: OwnWebhook, channels: Channels, write: Writing, expected: ExpectedVersion) -> Response:
    row, secret = await service.rotate_secret(write.session, row=own, expected=expected, ring=channels.ring)
    return _told_once(write, row, secret, status=200)


def _changed(write: Write, row: RowMapping) -> Response:
    return write.reply(WebhookOut.of(row), headers={"etag": etag(row["version"])}, about=row["workspace_id"])


def _told_once(write: Write, row: RowMapping, secret: str, *, status: int) -> Response:
    """Answer with a webhook and its new secret, which no replay shows again."""
    headers = {**NO_STORE, "etag": etag(row["version"])}
    if status == 201:  # noqa: PLR2004 - what has just been made is somewhere
        headers["location"] = f"{router.prefix}/{row['id']}"
    shown, kept = (WebhookSecretOut.with_secret(row, text) for text in (secret, None))
    return write.reply(shown, status=status, headers=headers, kept=kept, about=row["workspace_id"])
