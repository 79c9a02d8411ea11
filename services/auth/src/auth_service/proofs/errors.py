from types import MappingProxyType

from chassis.errors import AppError, ErrorKind, PersistedError


class MfaRequired(PersistedError):
    """Persisted for its ticket. `data` has `mfa_token`, `methods`, `passkey`, `challenge_id` and `expires_at`."""

    code = "MFA_REQUIRED"
    kind = ErrorKind.UNAUTHENTICATED
    message = "A second factor is needed, too: send `otp`, or POST /api/v1/auth/login/mfa."
    data_example = MappingProxyType(
        {
            "mfa_token": "tlm_mfa_7Rk2...",
            "methods": ["totp", "recovery_code"],
            "passkey": None,
            "challenge_id": None,
            "expires_at": "2026-11-24T09:05:00Z",
        }
    )


class InvalidMfaToken(AppError):
    code = "INVALID_MFA_TOKEN"
    kind = ErrorKind.UNAUTHENTICATED
    message = "This login was completed, or has waited too long: log in again."
