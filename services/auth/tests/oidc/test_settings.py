"""AUTH_OIDC_PROVIDERS: read whole at start, and refused in sentences that tell nothing secret."""

import json

import pytest
from auth_service.provider_settings import OidcSettings
from auth_service.settings import load
from chassis.settings import SettingsError

GOOD = {
    "id": "example",
    "name": "Example",
    "issuer": "https://login.example.com",
    "client_id": "taskloom",
    "client_secret": "s3cret-of-the-client",
    "redirect_uris": ["https://app.example.com/done"],
}
VARIABLE = "AUTH_OIDC_PROVIDERS"


@pytest.fixture
def read(monkeypatch, test_gateway):
    """Loads all settings of the service, with these providers."""

    def read(value, **environment):
        ring = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        given = {
            "DATABASE_URL": "postgresql://auth:x@127.0.0.1/taskloom",
            "BROKER_URL": "redis://127.0.0.1:1",
            "IDENTITY_VERIFY_KEY": test_gateway.verify_key,
            "AUTH_ENCRYPTION_KEYS": ring,
            "MAIL_SEALING_KEYS": ring,
            "CURSOR_SECRET": "c" * 32,
            "AUTH_TASKS_URL": "http://127.0.0.1:1",
            "ENVIRONMENT": "development",
            **({} if value is None else {VARIABLE: value if isinstance(value, str) else json.dumps(value)}),
            **environment,
        }
        for name, text in given.items():
            monkeypatch.setenv(name, text)
        return load().oidc.oidc_providers

    return read


def test_without_the_setting_there_are_no_providers(read):
    assert read(None) == read("") == read("[]") == ()


def test_what_a_provider_has_unless_it_says_otherwise(read):
    (provider,) = read([GOOD])
    assert provider.scopes == ("openid", "email", "profile")
    assert (provider.allow_sign_up, provider.trusted_email) == (True, ())
    assert provider.client_secret.get_secret_value() == "s3cret-of-the-client"
    assert "s3cret" not in repr(provider)


def test_the_setting_may_be_in_a_file(read, tmp_path):
    file = tmp_path / "providers.json"
    file.write_text(json.dumps([GOOD]))
    assert [one.id for one in read(None, AUTH_OIDC_PROVIDERS_FILE=str(file))] == ["example"]


WRONG = {
    "not JSON": ("{", "this is not JSON"),
    "too deep": ("[" * 100_000, "this is not JSON"),
    "not a list": ({"id": "x"}, "expected a JSON list"),
    "too many": ([{**GOOD, "id": f"p{number}"} for number in range(21)], "at most 20"),
    "not an object": (["x"], "provider 1 is not an object"),
    "nothing": ([{}], "provider 1: issuer is missing"),
    "unknown field": ([{**GOOD, "s3cret": "x"}], "provider 1 (example) has a field that there is not"),
    "id": ([{**GOOD, "id": "No Slug"}], "provider 1: id"),
    "id reserved": ([{**GOOD, "id": "identities"}], "id: is another one"),
    "id not text": ([{**GOOD, "id": 7}], "provider 1: id"),
    "two of one id": ([GOOD, GOOD], "two providers with the id example"),
    "issuer without TLS": ([{**GOOD, "issuer": "http://login.example.com"}], "issuer: begins with https://"),
    "issuer with a query": ([{**GOOD, "issuer": "https://login.example.com?x"}], "issuer: begins with https://"),
    "issuer with a fragment": ([{**GOOD, "issuer": "https://login.example.com#x"}], "issuer"),
    "issuer with a password": ([{**GOOD, "issuer": "https://a:s3cret@login.example.com"}], "issuer"),
    "issuer without a host": ([{**GOOD, "issuer": "https://"}], "issuer"),
    "no redirect": ([{**GOOD, "redirect_uris": []}], "redirect_uris"),
    "redirect with a fragment": ([{**GOOD, "redirect_uris": ["https://a.example/#x"]}], "redirect_uris: is an exact"),
    "redirect with a wildcard": ([{**GOOD, "redirect_uris": ["https://*.example/"]}], "redirect_uris: is an exact"),
    "redirect without TLS": ([{**GOOD, "redirect_uris": ["http://a.example/"]}], "redirect_uris: is an exact"),
    "redirect that is a script": ([{**GOOD, "redirect_uris": ["javascript:alert(1)"]}], "redirect_uris"),
    "redirect twice": ([{**GOOD, "redirect_uris": ["https://a.example/"] * 2}], "are each named once"),
    "scopes without openid": ([{**GOOD, "scopes": ["email"]}], "scopes: contain openid"),
    "scope with a space": ([{**GOOD, "scopes": ["openid", "a b"]}], "scopes"),
    "secret empty": ([{**GOOD, "client_secret": ""}], "client_secret"),
    "secret not text": ([{**GOOD, "client_secret": ["s3cret"]}], "client_secret"),
    "sign-up not a boolean": ([{**GOOD, "allow_sign_up": "no"}], "allow_sign_up"),
    "trusted that is no domain": ([{**GOOD, "trusted_email": ["*"]}], "trusted_email"),
    "trusted that is all": ([{**GOOD, "trusted_email": True}], "trusted_email"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_stops_the_service_with_a_sentence_and_without_its_secrets(read, name):
    value, sentence = WRONG[name]
    with pytest.raises(SettingsError) as caught:
        read(value)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{VARIABLE}: ")
    assert sentence in line
    assert "s3cret" not in line


def test_all_that_is_wrong_is_told_at_once(read):
    with pytest.raises(SettingsError) as caught:
        read([{**GOOD, "issuer": "x", "name": ""}, {**GOOD, "id": "two", "redirect_uris": []}])
    assert str(caught.value).count("provider 1 (example): ") == 2
    assert str(caught.value).count("provider 2 (two): ") == 1


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:9400", "http://localhost:9400", "http://[::1]:9400"])
def test_this_machine_needs_no_tls_except_in_production(read, issuer):
    assert [one.on_loopback for one in read([{**GOOD, "issuer": issuer}])] == [True]
    with pytest.raises(SettingsError, match="in production an issuer begins with https://, unlike that of example"):
        read([{**GOOD, "issuer": issuer}], ENVIRONMENT="production")


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:8080/done", "http://[::1]/done", "com.example.app:/done", "https://a.example:8443/x?y=z"]
)
def test_apps_of_all_sorts_can_be_sent_back_to(read, uri):
    assert read([{**GOOD, "redirect_uris": [uri]}])[0].redirect_uris == (uri,)


def test_the_example_in_the_settings_is_right():
    (example,) = OidcSettings.model_fields["oidc_providers"].examples
    assert [one.id for one in OidcSettings(oidc_providers=example).oidc_providers] == ["example"]
