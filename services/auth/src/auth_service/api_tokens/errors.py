from chassis.errors import Conflict, InvalidInput, NotFound


class InvalidScope(InvalidInput):
    """Carries the known scopes in `allowed`."""

    code = "INVALID_SCOPE"
    message = "There is no such scope, or it is given twice."


class ScopeNotConfined(InvalidInput):
    """Administration is of the whole instance: a token for a part of it can't have that."""

    code = "SCOPE_NOT_CONFINED"
    message = "A token that is restricted to a workspace or to projects can't administer the instance."


class InvalidExpiry(InvalidInput):
    code = "INVALID_EXPIRY"
    message = "An API token ends in the future, and not later than this server allows."


class TokenLimitReached(Conflict):
    code = "TOKEN_LIMIT_REACHED"
    message = "There are as many API tokens as an account may have: revoke one first."


class OwnerNotActive(Conflict):
    code = "ACCOUNT_NOT_ACTIVE"
    message = "This account may do nothing at the moment, so it gets no API token."


class ApiTokenNotFound(NotFound):
    """The same answer whether the token never was, was revoked or is somebody else's."""
