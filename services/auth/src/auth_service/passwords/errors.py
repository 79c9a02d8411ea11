from chassis.errors import InvalidInput, ServiceUnavailable


class PasswordUnacceptable(InvalidInput):
    code = "PASSWORD_LENGTH"
    message = "A password has 8 to 128 characters."


class PasswordBreached(InvalidInput):
    code = "PASSWORD_BREACHED"
    message = "This password is in lists of known passwords: choose another one."


class PasswordWorkFull(ServiceUnavailable):
    code = "LOGIN_BUSY"
    message = "Too many logins at this moment: try again in a second."
