"""What settings say that holds for use cases, of the API and of commands."""

from datetime import timedelta

from auth_service.administration.service import AdministrationTerms
from auth_service.sessions.service import Lifetimes, SessionTerms
from auth_service.settings import AuthSettings, Settings


def session_terms(settings: AuthSettings) -> SessionTerms:
    """Return what holds for all sessions."""
    return SessionTerms(
        lifetimes=Lifetimes(
            timedelta(seconds=settings.access_token_ttl),
            timedelta(seconds=settings.refresh_idle_ttl),
            timedelta(seconds=settings.refresh_absolute_ttl),
        ),
        verification_required=settings.email_verification == "required",
        step_up=timedelta(seconds=settings.step_up_seconds),
    )


def administration_terms(settings: Settings) -> AdministrationTerms:
    """Return what holds for administrators whom a command makes, without an app."""
    return AdministrationTerms(session_terms(settings.auth).lifetimes, settings.mail_sealing.ring())
