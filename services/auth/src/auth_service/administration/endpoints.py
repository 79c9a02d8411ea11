from chassis.errors import IfMatchRequired
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Write, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed, RequiredVersion
from chassis.web.replies import etag, reply
from chassis.web.routing import scope
from fastapi import Request, Response
from sqlalchemy import RowMapping

from auth_service.administration import repository, service
from auth_service.administration.access import InstanceAdmin, UserFilterQuery
from auth_service.administration.errors import AdministratorsOnly, NotAPerson, OwnAccount, UserNotFound
from auth_service.administration.schemas import (
    ADMIN_EXAMPLE,
    DISABLED_EXAMPLE,
    ENABLED_EXAMPLE,
    USER_DETAIL_EXAMPLE,
    Disabling,
    RolesPut,
    UserDetailOut,
)
from auth_service.path_ids import UserId
from auth_service.users.errors import LastAdmin, UserVersionConflict
from auth_service.users.schemas import USER_EXAMPLE, UserOut

router = APIRouter(prefix="/api/v1/admin/users", tags=["admin"])

ETAG = {"ETag": "The account's version, in quotes."}


@router.get(
    "",
    summary="List all users",
    description=(
        "The accounts of the instance, the newest first. `q` finds those whose name and address have, for each of its "
        "words, one that begins so. For administrators of the instance."
    ),
    response_model=PageEnvelope[UserOut],
    responses={
        200: page_example(USER_EXAMPLE, description="One page of users."),
        **errors(AdministratorsOnly, PageTooDeep),
    },
)
@scope("admin:*")
async def list_users(
    request: Request, _caller: InstanceAdmin, connection: PrimaryConnection, wanted: UserFilterQuery, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_users(connection, wanted, limit=paging.per_page, offset=paging.offset)
    users = [UserOut.of(row) for row in rows]
    return page_reply(request, users, paging, total)


@router.get(
    "/{user_id}",
    summary="Read a user",
    description=(
        "One account, with how it is used. The ETag is of the account alone. For administrators of the instance."
    ),
    response_model=Envelope[UserDetailOut],
    responses={
        200: example(USER_DETAIL_EXAMPLE, description="The user.", headers=ETAG),
        **errors(AdministratorsOnly, UserNotFound),
    },
)
@scope("admin:*")
async def read_user(user_id: UserId, _caller: InstanceAdmin, connection: PrimaryConnection) -> Response:
    row = await repository.find_user(connection, user_id)
    if row is None:
        raise UserNotFound
    return reply(UserDetailOut.of(row), headers={"etag": etag(row["version"])})


@router.post(
    "/{user_id}/disable",
    summary="Disable a user",
    description=(
        "Locks the account out: all sessions end, and its API tokens stop working, within two seconds. For one that "
        "is disabled already nothing happens. The reason is for the audit."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example(DISABLED_EXAMPLE, description="The user is disabled."),
        **errors(AdministratorsOnly, UserNotFound, OwnAccount),
    },
)
@scope("admin:*")
async def disable_user(
    request: Request, user_id: UserId, caller: InstanceAdmin, write: Writing, body: Disabling | None = None
) -> Response:
    row = await service.disable(
        write.session,
        caller=caller,
        user_id=user_id,
        reason=body.reason if body else None,
        terms=request.app.state.administration_terms,
    )
    return _reply(write, row)


@router.post(
    "/{user_id}/enable",
    summary="Enable a user",
    description=(
        "Makes a disabled account what it was before: one that its owner had left is `deactivated` or `deleting` "
        "again. For any other nothing happens."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example(ENABLED_EXAMPLE, description="The user is not disabled."),
        **errors(AdministratorsOnly, UserNotFound),
    },
)
@scope("admin:*")
async def enable_user(request: Request, user_id: UserId, caller: InstanceAdmin, write: Writing) -> Response:
    terms = request.app.state.administration_terms
    return _reply(write, await service.enable(write.session, caller=caller, user_id=user_id, terms=terms))


@router.post(
    "/{user_id}/force-password-reset",
    summary="Force a user to choose a new password",
    description=(
        "Ends all sessions of the user, who can log in again after a reset of the password only, and mails the link "
        "for that. For one who has to do it already nothing happens."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example({**USER_EXAMPLE, "version": 2}, description="The password has to be reset."),
        **errors(AdministratorsOnly, UserNotFound, NotAPerson),
    },
)
@scope("admin:*")
async def force_password_reset(request: Request, user_id: UserId, caller: InstanceAdmin, write: Writing) -> Response:
    terms = request.app.state.administration_terms
    row = await service.force_password_reset(write.session, caller=caller, user_id=user_id, terms=terms)
    return _reply(write, row)


@router.put(
    "/{user_id}/roles",
    summary="Set the roles of a user",
    description=(
        "Gives the user exactly these roles in the instance; `user` is always one of them. Sessions stay, but access "
        "tokens of before stop working, within two seconds: refresh them. `If-Match` is required."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example(ADMIN_EXAMPLE, description="The user with the roles."),
        **errors(
            *(AdministratorsOnly, UserNotFound, NotAPerson, LastAdmin),
            *(stale(UserVersionConflict, USER_EXAMPLE), IfMatchMalformed, IfMatchRequired),
        ),
    },
)
@scope("admin:*")
async def set_roles(
    request: Request, user_id: UserId, body: RolesPut, caller: InstanceAdmin, write: Writing, version: RequiredVersion
) -> Response:
    row = await service.set_roles(
        write.session,
        caller=caller,
        user_id=user_id,
        roles=body.roles,
        terms=request.app.state.administration_terms,
        expected_version=version,
    )
    return _reply(write, row)


def _reply(write: Write, row: RowMapping) -> Response:
    return write.reply(UserOut.of(row), headers={"etag": etag(row["version"])})
