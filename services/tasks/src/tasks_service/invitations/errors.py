from chassis.errors import AppError, Conflict, ErrorKind, Forbidden, InvalidInput, NotFound


class InvitationMissing(NotFound):
    """The same answer for a token that is wrong, used, revoked or declined, and for an id that is nothing here."""


class InvitationForAnotherAddress(Forbidden):
    code = "INVITATION_FOR_ANOTHER_ADDRESS"
    message = "This invitation is for another address: log in with the account that has it, and has confirmed it."


class AddressUnconfirmed(Forbidden):
    """Said of every token that is in force, so that it tells nothing of whose it is."""

    code = "ADDRESS_UNCONFIRMED"
    message = "Confirm your e-mail address first, then answer the invitation."


class InvitationExpired(AppError):
    code = "INVITATION_EXPIRED"
    kind = ErrorKind.GONE
    message = "This invitation has expired: ask for another one."


class TooManyInvitations(Conflict):
    code = "TOO_MANY_INVITATIONS"
    message = "So many invitations are open in this workspace that it can't have another one: revoke some."


class TooManyMails(AppError):
    code = "TOO_MANY_MAILS"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many mails were asked for: try again later."


class EmailInvalid(InvalidInput):
    code = "EMAIL_INVALID"
    message = "This is not a valid e-mail address."
