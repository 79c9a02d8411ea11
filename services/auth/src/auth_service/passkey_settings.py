"""In whose name passkeys are asked for (WebAuthn)."""

from chassis.settings import CommaSeparated, HttpUrl, SettingsGroup
from pydantic import Field

from auth_service.passkeys.rules import RelyingParty, relying_party


class PasskeySettings(SettingsGroup):
    """Where clients reach this installation, and what browsers know it by."""

    public_base_url: HttpUrl = Field(
        default="http://127.0.0.1:8080",
        validation_alias="PUBLIC_BASE_URL",
        description="Where clients reach the API; passkeys are of its host, unless the settings below say otherwise.",
    )
    rp_id: str | None = Field(
        default=None,
        validation_alias="AUTH_PASSKEY_RP_ID",
        description="Domain of passkeys; changing it voids all of them. By default the host of PUBLIC_BASE_URL.",
        examples=["example.com"],
    )
    origins: CommaSeparated = Field(
        default=(),
        validation_alias="AUTH_PASSKEY_ORIGINS",
        description="Origins of the pages and apps that may ask for them. By default the origin of PUBLIC_BASE_URL.",
        examples=["https://app.example.com"],
    )

    def fault(self) -> str | None:
        """Return what is wrong with the settings together, or None."""
        try:
            self.party()
        except ValueError as problem:
            return f"AUTH_PASSKEY_ORIGINS: {problem}"
        return None

    def party(self) -> RelyingParty:
        """Return the relying party. Raises ValueError for origins of another domain."""
        return relying_party(self.public_base_url, rp_id=self.rp_id or None, origins=self.origins)
