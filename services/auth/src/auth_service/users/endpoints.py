from chassis.errors import Unauthenticated
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed
from chassis.web.replies import NO_STORE, etag, reply, unless_unchanged
from chassis.web.routing import any_credential, public, session_only
from fastapi import Request, Response
from sqlalchemy import RowMapping

from auth_service.passwords.errors import PasswordBreached, PasswordUnacceptable, PasswordWorkFull
from auth_service.users import repository, service
from auth_service.users.errors import EmailInvalid, EmailTaken, ProfileVersionConflict
from auth_service.users.schemas import USER_EXAMPLE, ProfilePatch, Registration, UserOut
from auth_service.verification.schemas import ACCEPTED, ACCEPTED_EXAMPLE, AcceptedOut

registration = APIRouter(prefix="/api/v1/auth", tags=["auth"])
router = APIRouter(prefix="/api/v1/users", tags=["users"])

ETAG = {"ETag": "The profile's version, in quotes."}


@registration.post(
    "/register",
    status_code=201,
    summary="Sign up",
    description=(
        "Makes an account; logging in works at once, and a personal workspace with an Inbox comes with it. Where "
        "addresses have to be confirmed first, the answer is the same 202 for every address, and a mail tells the rest."
    ),
    response_model=Envelope[UserOut],
    responses={
        202: {
            "model": Envelope[AcceptedOut],
            **example(ACCEPTED_EXAMPLE, description="Where addresses have to be confirmed first."),
        },
        201: example(USER_EXAMPLE, description="The new user.", headers={"Location": "Path of the own profile."}),
        **errors(EmailTaken, EmailInvalid, PasswordUnacceptable, PasswordBreached, PasswordWorkFull),
    },
)
@public("nobody has an account before signing up")
async def register(request: Request, body: Registration, session: WriteSession) -> Response:
    state = request.app.state
    hasher, min_length = state.passwords, state.password_min_length
    if state.session_terms.verification_required:
        await service.ask_to_register(session, wanted=body, hasher=hasher, min_length=min_length)
        return reply(ACCEPTED, status=202, headers=NO_STORE)
    row = await service.register(
        session, wanted=body, primary=state.database.primary, hasher=hasher, min_length=min_length
    )
    return _user(row, status=201, headers={**NO_STORE, "location": "/api/v1/users/me"})


@router.get(
    "/me",
    summary="Read the own profile",
    description="The user whom the token belongs to.",
    response_model=Envelope[UserOut],
    responses={
        200: example(USER_EXAMPLE, description="The profile.", headers=ETAG),
        304: {"description": "The profile is still at the version in If-None-Match."},
    },
)
@any_credential("whoever holds a token may learn whose it is")
async def read_profile(request: Request, caller: CurrentPrincipal, connection: PrimaryConnection) -> Response:
    row = await repository.find(connection, caller.user_id)
    if row is None:
        raise Unauthenticated
    return unless_unchanged(request, _user(row))


@router.patch(
    "/me",
    summary="Change the own profile",
    description=(
        "A JSON merge patch: absent fields keep their value, null clears, `{}` changes nothing. An old name of a "
        "timezone is replaced by today's. `avatar_url` is shown and never fetched."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example(
            {**USER_EXAMPLE, "timezone": "Europe/Berlin", "version": 2},
            description="The profile after the change.",
            headers=ETAG,
        ),
        **errors(stale(ProfileVersionConflict, USER_EXAMPLE), IfMatchMalformed),
    },
)
@session_only("an account is its owner's, not a program's")
async def update_profile(
    body: ProfilePatch, caller: CurrentPrincipal, write: Writing, version: ExpectedVersion
) -> Response:
    row = await service.update_profile(write.session, caller=caller, patch=body, expected_version=version)
    return write.reply(UserOut.of(row), headers={"etag": etag(row["version"])})


def _user(row: RowMapping, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    user = UserOut.of(row)
    return reply(user, status=status, headers={"etag": etag(user.version), **(headers or {})})
