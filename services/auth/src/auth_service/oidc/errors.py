from chassis.errors import AppError, Conflict, ErrorKind, NotFound, PersistedError


class ProviderNotFound(NotFound):
    """No provider with this id is configured."""


class IdentityNotFound(NotFound):
    """The same answer whether the link never was or is somebody else's."""


class IdentityProviderUnavailable(AppError):
    """It can't be reached, or what it answers is no OpenID Connect.

    504, not 503: the gateway takes the latter for a failure of this service, and after five asks it nothing more.
    """

    code = "IDENTITY_PROVIDER_UNAVAILABLE"
    kind = ErrorKind.GATEWAY_TIMEOUT
    message = "The identity provider can't be used at the moment: try again shortly, or log in another way."


class RedirectUriUnknown(AppError):
    code = "OIDC_REDIRECT_URI_UNKNOWN"
    kind = ErrorKind.INVALID
    message = "This redirect address is not one of those that are configured for the provider."


class OidcRefused(PersistedError):
    """One answer to everything that does not prove who somebody is; why is in the log. Persisted for the audit."""

    code = "OIDC_REFUSED"
    kind = ErrorKind.UNAUTHENTICATED
    message = "The identity provider's answer does not prove who you are: begin again."


class OidcEmailUnverified(PersistedError):
    """Says nothing about accounts: whoever is told this may have made the address up."""

    code = "OIDC_EMAIL_UNVERIFIED"
    kind = ErrorKind.FORBIDDEN
    message = "The identity provider does not vouch for your e-mail address, so that it can't open an account here."


class OidcEmailTaken(PersistedError):
    """Told only to somebody whom the provider has proved to own the address."""

    code = "OIDC_EMAIL_TAKEN"
    kind = ErrorKind.CONFLICT
    message = "There is an account with your address, which was never confirmed here: log in to it and link it."


class OidcIdentityUnlinked(PersistedError):
    """Told only to somebody whom the provider has proved to own the account's address."""

    code = "OIDC_IDENTITY_UNLINKED"
    kind = ErrorKind.CONFLICT
    message = "Your account has unlinked this identity: log in another way and link it again."


class OidcSignUpClosed(PersistedError):
    code = "OIDC_SIGN_UP_CLOSED"
    kind = ErrorKind.FORBIDDEN
    message = "This identity provider opens no new accounts, and there is none that belongs to you."


class OidcIdentityTaken(PersistedError):
    code = "OIDC_IDENTITY_TAKEN"
    kind = ErrorKind.CONFLICT
    message = "This identity is linked to another account."


class OidcIdentityLimit(PersistedError):
    code = "OIDC_IDENTITY_LIMIT"
    kind = ErrorKind.CONFLICT
    message = "An account can have 20 linked identities: unlink one first."


class LastWayIn(Conflict):
    code = "OIDC_LAST_WAY_IN"
    message = "Nobody could log in to this account any more: set a password first."
