"""Single sign-on with a provider that is not ours: a process of its own, whose form is filled in over HTTP."""

from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from chassis.ids import uuid7

IDENTITIES = "SELECT provider, shown_email, account_id::text FROM auth.oidc_identity WHERE subject = :s"
ONE_ACCOUNT = (
    "SELECT id::text, password_hash, email_verified_at IS NOT NULL FROM auth.account WHERE email_canonical = :e"
)


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def email():
    return f"{uuid7().hex}@example.com"


@pytest.fixture
def log_in_there(real, browser):
    async def log_in_there():
        flow = await real.start()
        back = await browser.authorize(flow["authorization_url"])
        assert back["state"] == flow["state"]
        return await real.complete(flow, back["code"])

    return log_in_there


async def test_providers_are_listed_without_anything_secret(real):
    answer = await real.api.get("/api/v1/auth/oidc/providers")
    assert answer.json()["data"] == [{"id": "mock", "name": "Mock"}]
    assert "s3cret" not in answer.text


async def test_the_address_to_go_to_has_what_openid_connect_and_pkce_ask_for(real, mock_provider):
    flow = await real.start()
    parts = urlsplit(flow["authorization_url"])
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{mock_provider.url}/oauth2/authorize"
    assert {**query, "nonce": "", "code_challenge": ""} == {
        "response_type": "code",
        "client_id": "taskloom",
        "redirect_uri": "http://127.0.0.1:3999/login/done",
        "scope": "openid email profile",
        "state": flow["state"],
        "nonce": "",
        "code_challenge": "",
        "code_challenge_method": "S256",
    }
    secrets = (flow["state"], flow["flow_token"], query["nonce"], query["code_challenge"])
    assert [len(one) for one in secrets] == [43] * 4
    assert len(set(secrets)) == 4


async def test_what_a_flow_keeps_reveals_none_of_its_secrets(real, rows):
    flow = await real.start()
    nonce = parse_qs(urlsplit(flow["authorization_url"]).query)["nonce"][0]
    kept = str(await rows("SELECT f::text FROM auth.oidc_flow f ORDER BY id DESC LIMIT 1"))
    assert [one for one in (flow["state"], flow["flow_token"], nonce) if one in kept] == []


async def test_sign_up_and_a_second_login(real, browser, log_in_there, rows, events, mails, email):
    await browser.have(email=email, email_verified=True, name="Ada Lovelace")
    first = await log_in_there()
    assert first.status_code == 200, first.text
    assert first.headers["cache-control"] == "no-store"
    user = first.json()["data"]["user"]
    assert (user["email"], user["email_verified"], user["display_name"]) == (email, True, "Ada Lovelace")
    assert await rows(ONE_ACCOUNT, e=email) == [(user["id"], None, True)]
    assert await rows(IDENTITIES, s=browser.subject) == [("mock", email, user["id"])]
    assert await events(user["id"]) == ["user.registered.v1", "session.started.v1"]
    assert await mails(user["id"]) == []

    second = await log_in_there()
    assert second.json()["data"]["user"]["id"] == user["id"]
    assert await rows(ONE_ACCOUNT, e=email) == [(user["id"], None, True)]
    assert await rows("SELECT methods FROM auth.session WHERE user_id = :id", id=user["id"]) == [(["oidc"],)] * 2


async def test_the_session_works_and_the_password_login_of_such_an_account_does_not(
    real, browser, log_in_there, email, test_gateway
):
    await browser.have(email=email, email_verified=True, name="Ada")
    data = (await log_in_there()).json()["data"]
    claims = jwt.decode(data["access_token"], options={"verify_signature": False})
    headers = test_gateway.headers(claims["sub"], session_id=claims["sid"])
    assert (await real.api.get("/api/v1/users/me", headers=headers)).json()["data"]["email"] == email
    wrong = await real.api.post("/api/v1/auth/login", json={"email": email, "password": ""})
    assert codes(wrong) == (401, ["INVALID_CREDENTIALS"])


@pytest.mark.usefixtures("confirmed")
async def test_link_then_log_in_by_it(real, browser, account, login, rows, mails, log_in_there, email):
    """The address there is another one: who was logged in is what counts."""
    await browser.have(email=email, email_verified=False, name="Somebody")
    flow = await real.start_link(login)
    back = await browser.authorize(flow["authorization_url"])
    linked = await real.complete(flow, back["code"])
    assert linked.status_code == 200, linked.text
    identity = linked.json()["data"]
    assert (identity["provider"], identity["email"], identity["last_used_at"]) == ("mock", email, None)
    assert await rows(IDENTITIES, s=browser.subject) == [("mock", email, str(account.id))]
    assert await mails(account.id) == [("sso_linked", {"provider": "Mock"})]
    listed = await real.api.get("/api/v1/auth/oidc/identities", headers=login.headers)
    assert listed.json()["data"] == [identity]

    answer = await log_in_there()
    assert answer.json()["data"]["user"]["id"] == str(account.id)
    listed = await real.api.get("/api/v1/auth/oidc/identities", headers=login.headers)
    assert listed.json()["data"][0]["last_used_at"] is not None


async def test_a_nonce_of_another_request_is_refused(real, browser, email, rows):
    """The provider puts the nonce that it was sent into the token: here one that we never made."""
    await browser.have(email=email, email_verified=True, name="Ada")
    flow = await real.start()
    nonce = parse_qs(urlsplit(flow["authorization_url"]).query)["nonce"][0]
    back = await browser.authorize(flow["authorization_url"].replace(nonce, "A" * 43))
    assert codes(await real.complete(flow, back["code"])) == (401, ["OIDC_REFUSED"])
    assert await rows(ONE_ACCOUNT, e=email) == []


async def test_the_providers_word_on_an_address_that_is_not_verified_opens_nothing(browser, log_in_there, email, rows):
    await browser.have(email=email, email_verified=False, name="Ada")
    assert codes(await log_in_there()) == (403, ["OIDC_EMAIL_UNVERIFIED"])
    assert await rows(ONE_ACCOUNT, e=email) == []


async def test_a_made_up_code_is_refused(real):
    assert codes(await real.complete(await real.start(), "made-up")) == (401, ["OIDC_REFUSED"])
