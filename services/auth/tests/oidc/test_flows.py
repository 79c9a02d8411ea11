"""A flow is its beginner's, for one provider, for ten minutes, and once."""

import asyncio
import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest
from auth_service.scheduler import jobs
from chassis.db.transactions import transaction
from chassis.ids import uuid7

USED = "SELECT count(*) FILTER (WHERE used_at IS NOT NULL), count(*) FROM auth.oidc_flow WHERE provider = :p"
REFUSED = (401, ["OIDC_REFUSED"])


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


async def test_a_login_happens_once_with_pkce_and_the_clients_secret(sso, provider):
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    answer = await sso.complete(flow, code)
    assert answer.status_code == 200, answer.text
    (sent,) = provider.seen
    pair = base64.b64encode(b"taskloom:s3cret%3A+of%2Bthe+client").decode()
    assert sent["authorization"] == f"Basic {pair}"
    assert (sent["grant_type"], sent["redirect_uri"]) == ("authorization_code", "http://127.0.0.1:3999/login/done")
    assert len(sent["code_verifier"]) == 43
    assert "client_secret" not in sent
    assert codes(await sso.complete(flow, code)) == REFUSED
    assert len(provider.seen) == 1


async def test_a_replayed_state_is_refused_even_after_a_failure(sso, provider, counts, refusals):
    """The flow is used up by the first try, whatever came of it."""
    before = await counts()
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    assert codes(await sso.complete(flow, "another")) == REFUSED
    assert codes(await sso.complete(flow, code)) == REFUSED
    assert await refusals() == (
        "refused",
        {"provider": "scripted", "reason": "the state is unknown, used or expired"},
    )
    assert await counts() == before
    assert provider.codes.keys() == {code}


async def test_of_two_completions_at_once_one_gets_in(sso, provider, counts):
    sessions, accounts, identities = await counts()
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    answers = await asyncio.gather(*(sso.complete(flow, code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    assert await counts() == (sessions + 1, accounts + 1, identities + 1)


async def test_a_stolen_code_is_worth_nothing_with_another_flows_token(sso, provider, counts):
    """Login CSRF: who is sent a code and a state of somebody else's flow has only the token of the own one."""
    before = await counts()
    own, of_another = await sso.start(), await sso.start()
    code = provider.authorize(of_another["authorization_url"])
    answer = await sso.complete({**of_another, "flow_token": own["flow_token"]}, code)
    assert codes(answer) == REFUSED
    assert codes(await sso.complete(of_another, code)) == REFUSED
    assert await counts() == before
    assert provider.seen == []


async def test_a_stolen_code_is_worth_nothing_in_a_flow_of_ones_own(sso, provider, counts):
    """The provider finds that the verifier does not fit, and where it did not look, the nonce would not."""
    before = await counts()
    own, of_another = await sso.start(), await sso.start()
    code = provider.authorize(of_another["authorization_url"])
    assert codes(await sso.complete(own, code)) == REFUSED
    assert await counts() == before


async def test_a_state_of_another_provider_is_refused_before_anybody_is_asked(open_api, provider, counts):
    before = await counts()
    configs = [provider.config(), provider.config(id="twin", name="Twin")]
    async with open_api(oidc_providers=configs) as api:
        path = "/api/v1/auth/oidc/{}/{}".format
        body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
        flow = (await api.post(path("scripted", "start"), json=body)).json()["data"]
        code = provider.authorize(flow.pop("authorization_url"))
        flow.pop("expires_at")
        assert codes(await api.post(path("twin", "complete"), json={**flow, "code": code})) == REFUSED
        assert codes(await api.post(path("scripted", "complete"), json={**flow, "code": code})) == REFUSED
    assert await counts() == before
    assert provider.seen == []


async def test_an_expired_flow_is_refused(sso, provider, rows, counts):
    before = await counts()
    flow = await sso.start()
    await rows(
        "UPDATE auth.oidc_flow SET expires_at = now() WHERE id = (SELECT max(id::text)::uuid FROM auth.oidc_flow)"
    )
    assert codes(await sso.complete(flow, provider.authorize(flow["authorization_url"]))) == REFUSED
    assert await counts() == before


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:3999/login/done/",
        "http://127.0.0.1:3999/login/done?x=1",
        "http://127.0.0.1:3999/login/done#x",
        "http://127.0.0.1:3999/login/DONE",
        "https://evil.example/login/done",
        "",
        "javascript:alert(1)",
        "http://127.0.0.1:3999/login/done\n",
    ],
)
async def test_a_redirect_address_is_one_of_those_that_are_configured_exactly(sso, rows, uri):
    before = await rows("SELECT count(*) FROM auth.oidc_flow")
    answer = await sso.api.post("/api/v1/auth/oidc/scripted/start", json={"redirect_uri": uri})
    assert codes(answer) == (422, ["OIDC_REDIRECT_URI_UNKNOWN"])
    assert answer.json()["errors"][0]["field"] == "redirect_uri"
    assert await rows("SELECT count(*) FROM auth.oidc_flow") == before


@pytest.mark.parametrize("action", ["start", "link"])
async def test_of_an_unknown_redirect_address_no_provider_is_asked(sso, provider, login, action):
    provider.discovery = {"issuer": None}
    path, body = f"/api/v1/auth/oidc/scripted/{action}", {"redirect_uri": "https://evil.example/login/done"}
    answer = await sso.api.post(path, json=body, headers=login.headers)
    assert codes(answer) == (422, ["OIDC_REDIRECT_URI_UNKNOWN"])
    assert provider.asked == []


@pytest.mark.parametrize("action", ["start", "complete"])
async def test_an_unknown_provider_is_404(sso, action):
    bodies = {
        "start": {"redirect_uri": "http://127.0.0.1:3999/login/done"},
        "complete": {"code": "c", "state": "s", "flow_token": "f"},
    }
    for name in ("other", "SCRIPTED", "x" * 64):
        answer = await sso.api.post(f"/api/v1/auth/oidc/{name}/{action}", json=bodies[action])
        assert codes(answer) == (404, ["NOT_FOUND"])


@pytest.mark.parametrize(
    "change",
    [
        {"code": ""},
        {"code": "x" * 2049},
        {"code": "a\u00e9"},
        {"code": "a\nb"},
        {"state": ""},
        {"state": "a b"},
        {"state": 1},
        {"flow_token": None},
        {"iss": "x" * 256},
        {"extra": 1},
    ],
    ids=str,
)
async def test_a_completion_of_another_form_is_422_and_uses_nothing_up(sso, rows, change):
    flow = await sso.start()
    body = {"code": "c", "state": flow["state"], "flow_token": flow["flow_token"], **change}
    answer = await sso.api.post("/api/v1/auth/oidc/scripted/complete", json=body)
    assert answer.status_code == 422
    used, _ = (await rows(USED, p="scripted"))[0]
    assert codes(await sso.complete(flow, "unknown")) == REFUSED
    assert (await rows(USED, p="scripted"))[0][0] == used + 1


async def test_rfc_9207_the_issuer_beside_a_code_is_the_providers_own(sso, provider, enter):
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    assert codes(await sso.complete(flow, code, iss="https://other.example")) == REFUSED
    assert provider.seen == []
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    assert (await sso.complete(flow, code, iss=provider.issuer)).status_code == 200


async def test_rfc_9207_a_provider_that_names_itself_beside_codes_has_to(sso, provider):
    provider.discovery = {"authorization_response_iss_parameter_supported": True}
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    assert codes(await sso.complete(flow, code)) == REFUSED
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    assert (await sso.complete(flow, code, iss=provider.issuer)).status_code == 200


async def test_a_client_proves_itself_as_the_provider_can_take_it(open_api, provider, enter):
    async def sent(**config):
        async with open_api(oidc_providers=[provider.config(**config)]) as api:
            answer = await enter(through=another_client(api))
        assert answer.status_code == 200, answer.text
        return provider.seen[-1]

    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
    posted = await sent()
    assert (posted["client_id"], posted["client_secret"]) == ("taskloom", "s3cret: of+the client")
    assert posted["authorization"] is None
    provider.discovery = {"token_endpoint_auth_methods_supported": ["none"]}
    public = await sent(client_secret=None)
    assert (public["client_id"], public["authorization"]) == ("taskloom", None)
    assert "client_secret" not in public


async def test_504_where_no_way_of_proving_the_client_is_known(sso, provider, enter, counts):
    before = await counts()
    provider.discovery = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    assert codes(await enter()) == (504, ["IDENTITY_PROVIDER_UNAVAILABLE"])
    assert await counts() == before


async def test_discovery_and_keys_are_fetched_once(sso, provider, enter):
    for _ in range(3):
        assert (await enter()).status_code == 200
    assert provider.asked == ["/.well-known/openid-configuration", "/token", "/jwks", "/token", "/token"]


async def test_many_who_wait_for_discovery_share_one_fetch(sso, provider):
    await asyncio.gather(*(sso.start() for _ in range(8)))
    assert provider.asked == ["/.well-known/openid-configuration"]


async def test_after_a_change_of_keys_an_unknown_one_is_looked_for_at_most_once_in_ten_seconds(
    sso, provider, enter, keys
):
    assert (await enter()).status_code == 200
    provider.sign = lambda claims: jwt.encode(claims, keys.other, "RS256", headers={"kid": "next"})
    assert codes(await enter()) == REFUSED
    assert provider.asked.count("/jwks") == 1


@pytest.mark.parametrize("column", ["verifier_sealed", "nonce_sealed"])
async def test_a_flow_that_can_not_be_opened_any_more_is_refused(sso, provider, rows, counts, refusals, column):
    """As after a change of the keys that was too quick."""
    before, flow = await counts(), await sso.start()
    state = hashlib.sha256(flow["state"].encode()).digest()
    await rows(f"UPDATE auth.oidc_flow SET {column} = 'k0:AAAA' WHERE state_hash = :state", state=state)  # noqa: S608 - the column is our own
    assert codes(await sso.complete(flow, provider.authorize(flow["authorization_url"]))) == REFUSED
    assert await counts() == before
    assert await refusals() == ("refused", {"provider": "scripted", "reason": "what the flow keeps can't be opened"})


async def test_what_a_provider_adds_to_its_endpoints_query_stays(sso, provider):
    provider.discovery = {"authorization_endpoint": f"{provider.issuer}/authorize?tenant=a%20b"}
    flow = await sso.start()
    query = parse_qs(urlsplit(flow["authorization_url"]).query)
    assert query["tenant"] == ["a b"]
    assert query["state"] == [flow["state"]]


def another_client(api: httpx2.AsyncClient):
    """A second client of the scripted provider."""

    class Client:
        async def start(self):
            body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
            return (await api.post("/api/v1/auth/oidc/scripted/start", json=body)).json()["data"]

        async def complete(self, flow, code):
            body = {"code": code, "state": flow["state"], "flow_token": flow["flow_token"]}
            return await api.post("/api/v1/auth/oidc/scripted/complete", json=body)

    return Client()


async def test_flows_that_have_run_out_are_deleted(sso, rows, database, make_settings):
    await sso.start()
    kept = await sso.start()
    await rows(
        "UPDATE auth.oidc_flow SET expires_at = now() - interval '1 s' "
        "WHERE id <> (SELECT max(id::text)::uuid FROM auth.oidc_flow)"
    )
    (job,) = (job for job in jobs(make_settings()) if job.name == "purge-oidc-flows")
    async with transaction(database) as session:
        assert await job.run(session) is False
    assert await rows("SELECT count(*) FROM auth.oidc_flow") == [(1,)]
    assert codes(await sso.complete(kept, uuid7().hex)) == REFUSED
