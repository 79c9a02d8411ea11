from typing import Annotated

from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.openapi import enveloped, errors, example
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import public, scope
from fastapi import Query, Request, Response

from notifications_service.emails import service
from notifications_service.emails.errors import EmailNotVerified, UnsubscribeLinkInvalid
from notifications_service.emails.rules import MAX_TOKEN
from notifications_service.emails.schemas import (
    EMAIL_DISABLED_EXAMPLE,
    EMAIL_ON_EXAMPLE,
    INBOX_EXAMPLE,
    UNSUBSCRIBED_EXAMPLE,
    ChannelOut,
    UnsubscribedOut,
)
from notifications_service.mailing.pages import asking_page, done_page
from notifications_service.preferences.access import WholeCaller
from notifications_service.terms import Channels

channels = APIRouter(prefix="/api/v1/users/me/channels", tags=["notification preferences"])
unsubscribing = APIRouter(prefix="/api/v1/unsubscribe", tags=["notification preferences"])

HTML = "text/html"
PAGE_HEADERS = {**NO_STORE, "referrer-policy": "no-referrer"}
NEVER_STORED = {"Cache-Control": {"description": "`no-store`.", "schema": {"type": "string"}}}
Token = Annotated[str, Query(max_length=MAX_TOKEN, description="From the link in a mail.")]


@channels.get(
    "",
    summary="Tell how you are reached",
    description=(
        "The inbox, and where mail of notifications goes and whether it does. Devices and chats have lists of their "
        "own. An address that a mail server refuses for good is sent "
        "nothing more until you turn it on again, or have another one."
    ),
    response_model=Envelope[list[ChannelOut]],
    responses={200: example([INBOX_EXAMPLE, EMAIL_DISABLED_EXAMPLE], description="The channels.")},
)
@scope("notifications:read")
async def list_channels(caller: WholeCaller, connection: PrimaryConnection) -> Response:
    return reply(await service.list_channels(connection, user_id=caller.user_id))


@channels.post(
    "/email/enable",
    summary="Let mail reach you again",
    description="For an address that works by now. Should a server refuse it once more, it is turned off again.",
    response_model=Envelope[ChannelOut],
    responses={
        200: example(EMAIL_ON_EXAMPLE, description="The channel from now on."),
        **errors(EmailNotVerified),
    },
)
@scope("notifications:write")
async def enable_email_channel(caller: WholeCaller, write: Writing) -> Response:
    return write.reply(await service.enable_channel(write.session, user_id=caller.user_id))


@unsubscribing.get(
    "",
    summary="Ask whether to send no more mail",
    description="The page that the link in a mail leads to. It changes nothing: the button on it does.",
    response_class=Response,
    responses={
        200: {
            "description": "A page that asks.",
            "headers": NEVER_STORED,
            "content": {HTML: {"schema": {"type": "string"}, "example": asking_page("commented")}},
        },
        **errors(UnsubscribeLinkInvalid),
    },
)
@public("Who has the link got it by mail, and may not be logged in.")
async def ask_to_unsubscribe(token: Token, terms: Channels) -> Response:
    wanted = service.read_link(terms.ring, token)
    return Response(asking_page(wanted.subject), 200, PAGE_HEADERS, HTML)


@unsubscribing.post(
    "",
    summary="Send no more mail of something",
    description=(
        "Turns off what the link of a mail is about, at once: a kind of notification, all of them, or digests. Mail "
        "programs do this by themselves (RFC 8058), with a form as the body, which says nothing. Once more changes "
        "nothing. Browsers get a page."
    ),
    response_model=Envelope[UnsubscribedOut],
    responses={
        200: {
            "description": "No more mail of it comes.",
            "headers": NEVER_STORED,
            "content": {
                "application/json": {"example": enveloped(UNSUBSCRIBED_EXAMPLE)},
                HTML: {"schema": {"type": "string"}, "example": done_page("commented")},
            },
        },
        **errors(UnsubscribeLinkInvalid),
    },
)
@public("Mail programs do it for whoever got the mail, who may not be logged in.")
async def unsubscribe(request: Request, token: Token, terms: Channels, session: WriteSession) -> Response:
    wanted = service.read_link(terms.ring, token)
    await service.unsubscribe(session, wanted=wanted)
    if HTML in request.headers.get("accept", ""):
        return Response(done_page(wanted.subject), 200, PAGE_HEADERS, HTML)
    return reply(UnsubscribedOut(subject=wanted.subject, unsubscribed=True), headers=NO_STORE)
