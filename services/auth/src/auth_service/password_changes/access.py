"""What passwords are looked at with, before a session is held."""

from fastapi import Request

from auth_service.password_changes.service import Workshop


def workshop_of(request: Request) -> Workshop:
    """Return what the app of a request looks at passwords with."""
    state = request.app.state
    return Workshop(state.database.primary, state.passwords, state.password_min_length)
