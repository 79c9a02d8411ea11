"""Every event that this service publishes; the contracts are written from here."""

from chassis.outbox.contracts import EventContract

from auth_service.account_mail.events import ACCOUNT_MAIL_REQUESTED
from auth_service.account_mail.schemas import ACCOUNT_MAIL_EXAMPLE, AccountMailResource
from auth_service.administration.events import USER_DISABLED, USER_ENABLED, USER_ROLES_CHANGED
from auth_service.administration.schemas import ADMIN_EXAMPLE, DISABLED_EXAMPLE, ENABLED_EXAMPLE
from auth_service.api_tokens.events import TOKEN_CREATED, TOKEN_REVOKED
from auth_service.api_tokens.schemas import TOKEN_RESOURCE_EXAMPLE, TokenResource
from auth_service.leaving.events import (
    USER_DEACTIVATED,
    USER_DELETED,
    USER_DELETION_SCHEDULED,
    USER_REACTIVATED,
)
from auth_service.leaving.schemas import DEACTIVATED_EXAMPLE, DELETING_EXAMPLE, TOMBSTONE_EXAMPLE
from auth_service.service_accounts.events import (
    SERVICE_ACCOUNT_CREATED,
    SERVICE_ACCOUNT_DELETED,
    SERVICE_ACCOUNT_UPDATED,
)
from auth_service.service_accounts.schemas import SERVICE_ACCOUNT_EXAMPLE, ServiceAccountOut
from auth_service.sessions.events import SESSION_COMPROMISED, SESSION_REVOKED, SESSION_STARTED, SessionResource
from auth_service.users.events import SOURCE_NAME, USER_REGISTERED, USER_UPDATED
from auth_service.users.schemas import USER_EXAMPLE, UserOut

_SESSION = {"id": "0199d3b2-5e01-7a00-9c6f-2d7e4a8b1c07", "user_id": str(USER_EXAMPLE["id"])}

EVENTS = (
    EventContract(USER_REGISTERED, SOURCE_NAME, "user", "Somebody signed up.", UserOut, USER_EXAMPLE),
    EventContract(
        USER_UPDATED,
        SOURCE_NAME,
        "user",
        "A profile, an address or a password was changed, an address was confirmed, or a new password is asked for.",
        UserOut,
        {**USER_EXAMPLE, "version": 2},
    ),
    EventContract(
        USER_DEACTIVATED,
        SOURCE_NAME,
        "user",
        "Somebody has closed their account, and can open it again.",
        UserOut,
        DEACTIVATED_EXAMPLE,
    ),
    EventContract(
        USER_DELETION_SCHEDULED,
        SOURCE_NAME,
        "user",
        "Somebody has closed their account, and wants it deleted at `deletes_at`.",
        UserOut,
        DELETING_EXAMPLE,
    ),
    EventContract(
        USER_REACTIVATED,
        SOURCE_NAME,
        "user",
        "Somebody has opened their account again.",
        UserOut,
        {**USER_EXAMPLE, "version": 3},
    ),
    EventContract(
        USER_DELETED,
        SOURCE_NAME,
        "user",
        "An account was deleted for good: all that is left is an id. Whoever keeps more about it deletes that now.",
        UserOut,
        TOMBSTONE_EXAMPLE,
    ),
    EventContract(
        USER_DISABLED,
        SOURCE_NAME,
        "user",
        "An administrator has locked somebody out.",
        UserOut,
        DISABLED_EXAMPLE,
    ),
    EventContract(
        USER_ENABLED,
        SOURCE_NAME,
        "user",
        "An administrator has let somebody in again.",
        UserOut,
        ENABLED_EXAMPLE,
    ),
    EventContract(
        USER_ROLES_CHANGED,
        SOURCE_NAME,
        "user",
        "Somebody has other roles in the instance.",
        UserOut,
        ADMIN_EXAMPLE,
    ),
    EventContract(
        SESSION_STARTED, SOURCE_NAME, "session", "Somebody logged in.", SessionResource, _SESSION, optional=True
    ),
    EventContract(
        SESSION_REVOKED, SOURCE_NAME, "session", "A session was ended.", SessionResource, _SESSION, optional=True
    ),
    EventContract(
        SESSION_COMPROMISED,
        SOURCE_NAME,
        "session",
        "A used refresh token came back, so its session was ended.",
        SessionResource,
        _SESSION,
        optional=True,
    ),
    EventContract(
        ACCOUNT_MAIL_REQUESTED,
        SOURCE_NAME,
        "account_mail",
        "A mail about an account is to be sent; the token of its link is sealed.",
        AccountMailResource,
        ACCOUNT_MAIL_EXAMPLE,
    ),
    EventContract(
        TOKEN_CREATED,
        SOURCE_NAME,
        "token",
        "An API token was made.",
        TokenResource,
        TOKEN_RESOURCE_EXAMPLE,
        optional=True,
    ),
    EventContract(
        TOKEN_REVOKED,
        SOURCE_NAME,
        "token",
        "An API token was revoked.",
        TokenResource,
        TOKEN_RESOURCE_EXAMPLE,
        optional=True,
    ),
    EventContract(
        SERVICE_ACCOUNT_CREATED,
        SOURCE_NAME,
        "service_account",
        "A service account was made for a workspace.",
        ServiceAccountOut,
        SERVICE_ACCOUNT_EXAMPLE,
    ),
    EventContract(
        SERVICE_ACCOUNT_UPDATED,
        SOURCE_NAME,
        "service_account",
        "A service account got another name or role.",
        ServiceAccountOut,
        SERVICE_ACCOUNT_EXAMPLE,
    ),
    EventContract(
        SERVICE_ACCOUNT_DELETED,
        SOURCE_NAME,
        "service_account",
        "A service account has ended.",
        ServiceAccountOut,
        SERVICE_ACCOUNT_EXAMPLE,
    ),
)
