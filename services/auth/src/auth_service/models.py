"""Every table of the service, for migrations and the guards that compare them with the code."""

from auth_service.api_tokens.models import ApiToken
from auth_service.audit.models import AuditEvent
from auth_service.credentials.models import AccountFailures, AddressFailures, KnownNetwork, LoginFailure
from auth_service.db import Base, IdempotencyKey, Inbox, Outbox
from auth_service.mail_requests.models import MailRequest
from auth_service.oidc.models import OidcFlow, OidcIdentity, OidcUnlinked
from auth_service.passkeys.models import Challenge, Passkey
from auth_service.proofs.models import LoginTicket
from auth_service.revocations.models import Revocation
from auth_service.second_factors.models import OtpTries, RecoveryCode, Totp
from auth_service.service_accounts.models import DeletedWorkspace, ServiceAccount
from auth_service.sessions.models import RefreshToken, Session
from auth_service.tokens.models import SigningKey
from auth_service.users.models import Account
from auth_service.verification.models import LinkToken, MailBudget

METADATA = Base.metadata

__all__ = [
    "METADATA",
    "Account",
    "AccountFailures",
    "AddressFailures",
    "ApiToken",
    "AuditEvent",
    "Challenge",
    "DeletedWorkspace",
    "IdempotencyKey",
    "Inbox",
    "KnownNetwork",
    "LinkToken",
    "LoginFailure",
    "LoginTicket",
    "MailBudget",
    "MailRequest",
    "OidcFlow",
    "OidcIdentity",
    "OidcUnlinked",
    "OtpTries",
    "Outbox",
    "Passkey",
    "RecoveryCode",
    "RefreshToken",
    "Revocation",
    "ServiceAccount",
    "Session",
    "SigningKey",
    "Totp",
]
