"""In whose name passkeys are asked for, by where clients reach the installation."""

import pytest
from auth_service.passkey_settings import PasskeySettings
from auth_service.passkeys.rules import RelyingParty, relying_party


@pytest.mark.parametrize(
    ("base_url", "party"),
    [
        ("http://127.0.0.1:8080", RelyingParty("localhost", ("http://localhost:8080",))),
        ("http://[::1]:8080/", RelyingParty("localhost", ("http://localhost:8080",))),
        ("https://tasks.example.com", RelyingParty("tasks.example.com", ("https://tasks.example.com",))),
        ("https://example.com:8443/tasks", RelyingParty("example.com", ("https://example.com:8443",))),
    ],
)
def test_by_default_it_is_where_clients_reach_the_api(base_url, party):
    assert relying_party(base_url) == party


def test_a_domain_above_and_origins_of_it_and_apps_can_be_set(monkeypatch):
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://api.example.com")
    monkeypatch.setenv("AUTH_PASSKEY_RP_ID", "example.com")
    monkeypatch.setenv("AUTH_PASSKEY_ORIGINS", "https://app.example.com, https://example.com,android:apk-key-hash:x")
    settings = PasskeySettings()
    assert settings.fault() is None
    origins = ("https://app.example.com", "https://example.com", "android:apk-key-hash:x")
    assert settings.party() == RelyingParty("example.com", origins)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://notexample.com", "https://example.com.evil.example"]
)
def test_an_origin_of_another_domain_stops_the_service(monkeypatch, origin):
    monkeypatch.setenv("AUTH_PASSKEY_RP_ID", "example.com")
    monkeypatch.setenv("AUTH_PASSKEY_ORIGINS", origin)
    assert PasskeySettings().fault() == (
        f"AUTH_PASSKEY_ORIGINS: {origin} is not of example.com: no browser would use a passkey there"
    )
