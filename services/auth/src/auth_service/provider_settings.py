"""The identity providers that one may log in with (OpenID Connect)."""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from chassis.settings import SettingsGroup
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_settings import SettingsConfigDict

VARIABLE = "AUTH_OIDC_PROVIDERS"
MAX_PROVIDERS = 20
SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"
RESERVED_IDS = frozenset({"providers", "identities"})
SCOPE_TOKEN = r"^[\x21\x23-\x5b\x5d-\x7e]+$"  # noqa: S105 - a pattern (RFC 6749, section 3.3)
DOMAIN = r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$"
PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
EXAMPLE = (
    '[{"id": "example", "name": "Example", "issuer": "https://login.example.com", "client_id": "taskloom", '
    '"client_secret": "...", "redirect_uris": ["https://app.example.com/login/done"]}]'
)


def is_endpoint(url: str, *, loopback: bool) -> bool:
    """Tell whether a URL is one to send requests to: https, or with `loopback` also http to this machine."""
    if not url.isascii() or not url.isprintable() or " " in url or "#" in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        plain = loopback and parts.scheme == "http" and _is_loopback(parts.hostname)
        return (
            (parts.scheme == "https" or plain) and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        )
    except ValueError:
        return False


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _issuer(url: str) -> str:
    if not is_endpoint(url, loopback=True) or "?" in url:
        raise ValueError("begins with https:// (http:// only for this machine), without query and fragment")
    return url


def _redirect_uri(uri: str) -> str:
    private = bool(PRIVATE_SCHEME.fullmatch(uri.partition(":")[0])) and uri.isascii() and uri.isprintable()
    if "#" in uri or " " in uri or "*" in uri or not (private or is_endpoint(uri, loopback=True)):
        raise ValueError(
            "is an exact address without fragment: https://, http:// of this machine, or an app's own scheme with a dot"
        )
    return uri


def _openid(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if "openid" not in scopes:
        raise ValueError("contain openid")
    return scopes


def _not_reserved(name: str) -> str:
    if name in RESERVED_IDS:
        raise ValueError("is another one: this is a path of its own")
    return name


class ProviderConfig(BaseModel):
    """One identity provider, and what its word is worth here."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Annotated[str, StringConstraints(pattern=SLUG), AfterValidator(_not_reserved)]
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    issuer: Annotated[str, StringConstraints(max_length=255), AfterValidator(_issuer)]
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")]
    # Without one the client is public, and PKCE alone binds the code to it.
    client_secret: SecretStr | None = Field(default=None, min_length=1, max_length=1024)
    scopes: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=SCOPE_TOKEN, max_length=100)], ...], AfterValidator(_openid)
    ] = Field(default=("openid", "email", "profile"), max_length=20)
    redirect_uris: tuple[Annotated[str, StringConstraints(max_length=2000), AfterValidator(_redirect_uri)], ...] = (
        Field(min_length=1, max_length=20)
    )
    allow_sign_up: bool = Field(default=True, strict=True)
    # Domains whose addresses count as verified where the provider does not say whether they are: it is their owner's.
    trusted_email: tuple[Annotated[str, StringConstraints(pattern=DOMAIN, max_length=253)], ...] = Field(
        default=(), max_length=50
    )

    @field_validator("redirect_uris", "scopes")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("are each named once")
        return value

    @property
    def on_loopback(self) -> bool:
        """Whether it is on this machine without TLS, as in development."""
        return self.issuer.startswith("http://")


class OidcSettings(SettingsGroup):
    """Single sign-on."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    oidc_providers: tuple[ProviderConfig, ...] = Field(
        default=(),
        description=(
            "Identity providers for single sign-on, a JSON list. Each has id, name, issuer, client_id, redirect_uris "
            "and perhaps client_secret, scopes, allow_sign_up (true) and trusted_email (domains)."
        ),
        examples=[EXAMPLE],
    )

    @field_validator("oidc_providers", mode="before")
    @classmethod
    def _read(cls, value: object) -> Sequence[ProviderConfig]:
        entries = _parse_list(value) if isinstance(value, str) else value
        if not isinstance(entries, list | tuple) or len(entries) > MAX_PROVIDERS:
            raise ValueError(f"expected a JSON list of at most {MAX_PROVIDERS} providers")
        problems: list[str] = []
        providers = [found for at, entry in enumerate(entries, 1) if (found := _provider(at, entry, problems))]
        repeated = [name for name, count in Counter(one.id for one in providers).items() if count > 1]
        problems.extend(f"there are two providers with the id {name}" for name in repeated)
        if problems:
            raise ValueError("; ".join(problems))
        return providers

    def fit_for(self, environment: str) -> str | None:
        """Return what does not fit an installation of this kind, as a sentence, or None."""
        plain = [one.id for one in self.oidc_providers if one.on_loopback]
        if environment != "production" or not plain:
            return None
        return f"{VARIABLE}: in production an issuer begins with https://, unlike that of {', '.join(plain)}."


def _parse_list(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("expected a JSON list of providers; this is not JSON") from None


def _provider(position: int, entry: object, problems: list[str]) -> ProviderConfig | None:
    """Return the provider of an entry, or note in sentences what is wrong; what an entry holds is never told."""
    if isinstance(entry, ProviderConfig):
        return entry
    if not isinstance(entry, Mapping):
        problems.append(f"provider {position} is not an object")
        return None
    name = entry.get("id")
    slug = isinstance(name, str) and re.fullmatch(SLUG, name)
    who = f"provider {position} ({name})" if slug else f"provider {position}"
    try:
        return ProviderConfig.model_validate(dict(entry))
    except ValidationError as error:
        problems.extend(_sentences(who, error))
        return None


def _sentences(who: str, error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place: Any = problem["loc"][0] if problem["loc"] else "?"
        if problem["type"] == "extra_forbidden":
            # The name is not told: a value may have slipped into its place.
            yield f"{who} has a field that there is not; known are {', '.join(ProviderConfig.model_fields)}"
        elif problem["type"] == "missing":
            yield f"{who}: {place} is missing"
        else:
            yield f"{who}: {place}: {problem['msg'].removeprefix('Value error, ')}"
