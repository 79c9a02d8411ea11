from chassis.errors import Conflict, Forbidden, NotFound


class AdministratorsOnly(Forbidden):
    """The same code as any lack of a right; the sentence says of which."""

    message = "Only administrators of this instance can do this."


class UserNotFound(NotFound):
    """There never was such an account, or it was deleted."""


class OwnAccount(Conflict):
    code = "OWN_ACCOUNT"
    message = "You can't disable yourself: another administrator can, and you can deactivate your account."


class NotAPerson(Conflict):
    code = "NOT_A_PERSON"
    message = "This is the account of a program: it has no password, and can't be an administrator."
