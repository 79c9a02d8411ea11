from chassis.errors import ErrorKind, InvalidInput, PersistedError


class LinkTokenInvalid(InvalidInput):
    """The same for one that never was, was used, is too old, or was made for something else."""

    code = "LINK_TOKEN_INVALID"
    message = "This link is not valid any more: ask for a new one."


class TooManyMails(PersistedError):
    """For somebody who has a session; who has none is told nothing. Persisted, since an older link is given up."""

    code = "TOO_MANY_MAILS"
    kind = ErrorKind.RATE_LIMITED
    message = "There was such a mail just now: wait as long as Retry-After says."
