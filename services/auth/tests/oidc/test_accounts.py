"""Which account a proved person enters, and which none."""

import asyncio
import time

import pytest
from chassis.ids import uuid7

OF_SUBJECT = "SELECT account_id::text FROM auth.oidc_identity WHERE subject = :s"
BARRIERS = {
    "disabled": ("UPDATE auth.account SET status = 'disabled' WHERE id = :id", "ACCOUNT_DISABLED"),
    "deactivated": ("UPDATE auth.account SET status = 'deactivated' WHERE id = :id", "ACCOUNT_DEACTIVATED"),
    "deleting": ("UPDATE auth.account SET status = 'deleting' WHERE id = :id", "ACCOUNT_DELETING"),
    "deleted": ("UPDATE auth.account SET status = 'deleted' WHERE id = :id", "ACCOUNT_DISABLED"),
    "reset": ("UPDATE auth.account SET password_reset_required = true WHERE id = :id", "PASSWORD_RESET_REQUIRED"),
}
AUDIT = "SELECT action, outcome, details FROM auth.audit_event WHERE subject_id = :id ORDER BY id"


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
async def verified(account, rows):
    """An account whose address is confirmed here."""
    await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
    return account


async def test_a_verified_address_on_both_sides_links_and_logs_in(enter, provider, verified, rows, events, mails):
    provider.email = verified.email.upper().replace("@EXAMPLE.COM", "@Example.com")
    answer = await enter()
    assert answer.json()["data"]["user"]["id"] == str(verified.id)
    assert await rows(OF_SUBJECT, s=provider.subject) == [(str(verified.id),)]
    assert await mails(verified.id) == [("sso_linked", {"provider": "Scripted"})]
    assert await events(verified.id) == [
        "user.registered.v1",
        "account_mail.requested.v1",
        "session.started.v1",
    ]
    audited = [(action, outcome) for action, outcome, _ in await rows(AUDIT, id=verified.id)]
    assert audited == [("account.registered", "success"), ("oidc.linked", "success"), ("login", "success")]
    assert (await enter()).status_code == 200
    assert len(await mails(verified.id)) == 1


async def test_an_address_that_was_never_confirmed_here_is_not_trusted(enter, provider, account, counts, rows, mails):
    """Who signs up with somebody's address must not be waiting in the account that its owner comes to by a provider."""
    before = await counts()
    provider.email = account.email
    answer = await enter()
    assert codes(answer) == (409, ["OIDC_EMAIL_TAKEN"])
    assert "link" in answer.json()["errors"][0]["hint"]
    assert await counts() == before
    assert await mails(account.id) == []
    assert (await rows(AUDIT, id=account.id))[-1] == (
        "oidc.refused",
        "refused",
        {"provider": "scripted", "reason": "OIDC_EMAIL_TAKEN"},
    )


@pytest.mark.parametrize("word", [False, None, "true", "yes", 1, [True], {}], ids=repr)
async def test_a5_an_address_whose_verification_is_not_exactly_true_says_nothing_of_accounts(
    enter, provider, verified, counts, word
):
    """The same for an address that is known here and one that is not: it may be made up to find that out."""
    before = await counts()
    provider.claims = {"email_verified": word}
    if word is None:
        provider.without = {"email_verified"}
    unknown = await enter()
    provider.email = verified.email
    known = await enter()
    assert codes(unknown) == codes(known) == (403, ["OIDC_EMAIL_UNVERIFIED"])
    assert unknown.json()["errors"] == known.json()["errors"]
    assert await counts() == before


async def test_a_known_identity_logs_in_whatever_its_address_is_now(enter, provider, rows):
    user = (await enter()).json()["data"]["user"]
    provider.claims = {"email": f"{uuid7().hex}@example.com", "email_verified": False}
    again = (await enter()).json()["data"]["user"]
    assert (again["id"], again["email"]) == (user["id"], user["email"])
    provider.claims, provider.without = {}, {"email", "email_verified"}
    assert (await enter()).json()["data"]["user"]["id"] == user["id"]


async def test_the_same_subject_elsewhere_is_somebody_else(open_api, provider, enter, rows):
    user = (await enter()).json()["data"]["user"]
    provider.email = f"{uuid7().hex}@example.com"
    async with open_api(oidc_providers=[provider.config(id="twin")]) as api:
        body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
        flow = (await api.post("/api/v1/auth/oidc/twin/start", json=body)).json()["data"]
        code = provider.authorize(flow["authorization_url"])
        body = {"code": code, "state": flow["state"], "flow_token": flow["flow_token"]}
        other = (await api.post("/api/v1/auth/oidc/twin/complete", json=body)).json()["data"]["user"]
    assert other["id"] != user["id"]
    assert len(await rows(OF_SUBJECT, s=provider.subject)) == 2


async def test_two_first_logins_of_one_person_at_once_make_one_account(enter, counts, provider, rows):
    sessions, accounts, identities = await counts()
    answers = await asyncio.gather(*(enter() for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["data"]["user"]["id"] for answer in answers}) == 1
    assert await counts() == (sessions + 5, accounts + 1, identities + 1)


async def test_two_people_at_once_with_one_address_share_the_account_that_one_of_them_makes(sso, provider, counts):
    """Two subjects of one provider that both vouch for the address: the second is linked to the first one's account."""
    sessions, accounts, identities = await counts()
    flows = [await sso.start() for _ in range(4)]
    subjects = iter(f"{provider.subject}-{number}" for number in range(4))
    sign = provider.id_token

    def for_somebody(nonce, access_token):
        provider.claims = {"sub": next(subjects)}
        return sign(nonce, access_token)

    provider.id_token = for_somebody
    answers = await asyncio.gather(
        *(sso.complete(flow, provider.authorize(flow["authorization_url"])) for flow in flows)
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    assert await counts() == (sessions + 4, accounts + 1, identities + 4)


async def test_a_provider_that_opens_no_accounts(open_api, provider, sso, counts, verified):
    async with open_api(oidc_providers=[provider.config(allow_sign_up=False)]) as api:
        closed = type(sso)(api, "scripted")

        async def enter():
            flow = await closed.start()
            return await closed.complete(flow, provider.authorize(flow["authorization_url"]))

        before = await counts()
        assert codes(await enter()) == (403, ["OIDC_SIGN_UP_CLOSED"])
        assert await counts() == before
        provider.email = verified.email
        assert (await enter()).status_code == 200


async def test_a_domain_that_is_the_providers_own_needs_no_word_on_its_addresses(open_api, provider, sso, counts):
    own = provider.config(trusted_email=["corp.example.com"])
    provider.without = {"email_verified"}
    async with open_api(oidc_providers=[own]) as api:
        trusting = type(sso)(api, "scripted")

        async def enter():
            flow = await trusting.start()
            return await trusting.complete(flow, provider.authorize(flow["authorization_url"]))

        before = await counts()
        for domain in ("example.com", "sub.corp.example.com", "evilcorp.example.com"):
            provider.email = f"{uuid7().hex}@{domain}"
            assert codes(await enter()) == (403, ["OIDC_EMAIL_UNVERIFIED"])
        provider.email, provider.without = f"{uuid7().hex}@corp.example.com", set()
        for word in (False, "true"):
            provider.claims = {"email_verified": word}
            assert codes(await enter()) == (403, ["OIDC_EMAIL_UNVERIFIED"])
        assert await counts() == before
        provider.claims, provider.without = {}, {"email_verified"}
        assert (await enter()).status_code == 200


@pytest.mark.parametrize("name", BARRIERS)
async def test_what_stands_against_an_account_stands_against_single_sign_on(
    enter, provider, verified, rows, counts, mails, name
):
    """Neither a new link nor an old one gets past it, and none comes to be."""
    code = BARRIERS[name][1]
    await rows(BARRIERS[name][0], id=verified.id)
    before = await counts()
    provider.email = verified.email
    assert codes(await enter()) == (403, [code])
    assert await counts() == before
    assert await mails(verified.id) == []
    await rows(
        "UPDATE auth.account SET status = 'active', password_reset_required = false WHERE id = :id", id=verified.id
    )
    assert (await enter()).status_code == 200
    await rows(BARRIERS[name][0], id=verified.id)
    sessions = (await counts())[0]
    assert codes(await enter()) == (403, [code])
    assert (await counts())[0] == sessions


async def test_a_second_factor_is_not_passed_by(enter, provider, verified, log_in, enrol, rows, counts, mails):
    """Unless the provider says that it asked for one: neither by linking nor by a link that there is."""
    await enrol(await log_in(verified))
    before, mails_before = await counts(), await mails(verified.id)
    provider.email = verified.email
    for amr in (None, ["pwd"], "mfa", [["mfa"]]):
        provider.claims = {} if amr is None else {"amr": amr}
        assert codes(await enter()) == (401, ["MFA_REQUIRED"])
    assert await counts() == before
    assert await mails(verified.id) == mails_before
    provider.claims = {"amr": ["pwd", "mfa"]}
    assert (await enter()).status_code == 200
    provider.claims = {"amr": ["pwd"]}
    assert codes(await enter()) == (401, ["MFA_REQUIRED"])
    opened = "SELECT second_factor_at IS NOT NULL FROM auth.session WHERE user_id = :id AND methods = '{oidc}'"
    assert await rows(opened, id=verified.id) == [(True,)]


@pytest.mark.parametrize("with_password", [True, False])
async def test_the_second_factor_completes_the_login(
    sso, enter, provider, verified, log_in, enrol, rows, with_password
):
    """Also where there is no password that a login could begin with."""
    factor = await enrol(await log_in(verified))
    if not with_password:
        await rows("UPDATE auth.account SET password_hash = NULL WHERE id = :id", id=verified.id)
    provider.email = verified.email
    asked = (await enter()).json()["data"]
    assert asked["methods"] == ["totp", "recovery_code"]
    body = {"mfa_token": asked["mfa_token"], "otp": "000000" if factor.code() != "000000" else "000001"}
    assert codes(await sso.api.post("/api/v1/auth/login/mfa", json=body)) == (401, ["INVALID_OTP"])
    answer = await sso.api.post("/api/v1/auth/login/mfa", json={**body, "otp": factor.code()})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["user"]["id"] == str(verified.id)
    found = await rows("SELECT methods FROM auth.session WHERE user_id = :id ORDER BY id", id=verified.id)
    assert found[-1] == (["oidc", "totp"],)
    refused = "SELECT details FROM auth.audit_event WHERE subject_id = :id AND action = 'login' AND outcome = 'refused'"
    assert await rows(f"{refused} ORDER BY id", id=verified.id) == [
        ({"methods": ["oidc"], "refusal": "MFA_REQUIRED"},),
        ({"methods": ["oidc"], "refusal": "INVALID_OTP"},),
    ]


async def test_the_address_and_name_come_from_userinfo_where_the_id_token_has_none(enter, provider):
    email = f"{uuid7().hex}@example.com"
    provider.without = {"email", "email_verified", "name"}
    provider.userinfo = {"sub": provider.subject, "email": email, "email_verified": True, "name": "Grace"}
    user = (await enter()).json()["data"]["user"]
    assert (user["email"], user["email_verified"], user["display_name"]) == (email, True, "Grace")
    assert provider.asked[-1] == "/userinfo"


async def test_a_verification_in_the_id_token_does_not_vouch_for_an_address_from_elsewhere(enter, provider, counts):
    before = await counts()
    provider.without = {"email"}
    provider.userinfo = {"sub": provider.subject, "email": provider.email}
    assert codes(await enter()) == (403, ["OIDC_EMAIL_UNVERIFIED"])
    assert await counts() == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Ada \u202e\u0000\n Lovelace\t", "Ada Lovelace"),
        ("x" * 5000, "x" * 100),
        ("\u00e4" * 101, "\u00e4" * 100),
        ("\u200b\u202e\n", None),
        ("", None),
        (None, None),
        ({"a": 1}, None),
        ("\U0001f600 <script>", "\U0001f600 <script>"),
    ],
    ids=["controls", "long", "longer than a column", "invisible", "empty", "null", "object", "markup"],
)
async def test_a_hostile_name_becomes_a_harmless_one(enter, provider, name, shown):
    provider.claims = {"name": name}
    user = (await enter()).json()["data"]["user"]
    assert user["display_name"] == (shown or provider.email.partition("@")[0])


class TestLinking:
    async def test_a_stranger_can_neither_begin_nor_list_nor_unlink(self, sso, provider, enter, login, rows):
        """Linked to somebody else, an identity is not there for the caller."""
        await enter()
        ((identity,),) = await rows("SELECT id FROM auth.oidc_identity WHERE subject = :s", s=provider.subject)
        path = f"/api/v1/auth/oidc/identities/{identity}"
        assert (await sso.api.get("/api/v1/auth/oidc/identities", headers=login.headers)).json()["data"] == []
        assert codes(await sso.api.delete(path, headers=login.headers)) == (404, ["NOT_FOUND"])
        assert codes(await sso.api.delete(path)) == (401, ["UNAUTHENTICATED"])
        assert len(await rows(OF_SUBJECT, s=provider.subject)) == 1

    async def test_a_link_needs_a_recent_proof(self, sso, login, rows):
        await rows(
            "UPDATE auth.session SET authenticated_at = now() - interval '11 min' WHERE id = :id", id=login.session_id
        )
        body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
        for method, path, sent in (
            ("POST", "/api/v1/auth/oidc/scripted/link", body),
            ("DELETE", f"/api/v1/auth/oidc/identities/{uuid7()}", None),
        ):
            answer = await sso.api.request(method, path, json=sent, headers=login.headers)
            assert codes(answer) == (403, ["STEP_UP_REQUIRED"])

    async def test_an_api_token_can_do_none_of_it(self, sso, account, test_gateway):
        headers = test_gateway.token_headers(account.id, "admin:*")
        for method, path in (
            ("POST", "/api/v1/auth/oidc/scripted/link"),
            ("GET", "/api/v1/auth/oidc/identities"),
            ("DELETE", f"/api/v1/auth/oidc/identities/{uuid7()}"),
        ):
            answer = await sso.api.request(method, path, headers=headers)
            assert codes(answer) == (403, ["SESSION_REQUIRED"]), path

    async def test_a_flows_token_is_told_once_and_never_stored(self, sso, login, rows):
        body = {"redirect_uri": "http://127.0.0.1:3999/login/done"}
        headers = {**login.headers, "idempotency-key": uuid7().hex}
        first = await sso.api.post("/api/v1/auth/oidc/scripted/link", json=body, headers=headers)
        again = await sso.api.post("/api/v1/auth/oidc/scripted/link", json=body, headers=headers)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["data"] == {**first.json()["data"], "flow_token": None}
        token = first.json()["data"]["flow_token"]
        stored = await rows(
            "SELECT count(*) FROM auth.idempotency_key WHERE position(:t IN body) > 0", t=token.encode()
        )
        assert stored == [(0,)]

    async def test_a_link_dies_with_the_session_that_began_it(self, sso, provider, login, counts):
        flow = await sso.start_link(login)
        code = provider.authorize(flow["authorization_url"])
        await sso.api.post("/api/v1/auth/logout", headers=login.headers)
        before = await counts()
        assert codes(await sso.complete(flow, code)) == (401, ["OIDC_REFUSED"])
        assert await counts() == before

    async def test_a_link_dies_with_its_account(self, sso, provider, login, counts, rows):
        flow = await sso.start_link(login)
        code = provider.authorize(flow["authorization_url"])
        await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=login.account.id)
        before = await counts()
        assert codes(await sso.complete(flow, code)) == (401, ["OIDC_REFUSED"])
        assert await counts() == before

    async def test_an_identity_of_somebody_else_can_not_be_linked(self, sso, provider, enter, login, counts, mails):
        await enter()
        flow = await sso.start_link(login)
        before = await counts()
        answer = await sso.complete(flow, provider.authorize(flow["authorization_url"]))
        assert codes(answer) == (409, ["OIDC_IDENTITY_TAKEN"])
        assert await counts() == before
        assert await mails(login.account.id) == []

    @pytest.mark.usefixtures("confirmed")
    async def test_linking_the_same_again_changes_nothing(self, sso, provider, login, mails, counts):
        async def link():
            flow = await sso.start_link(login)
            return await sso.complete(flow, provider.authorize(flow["authorization_url"]))

        first, before = await link(), await counts()
        assert (await link()).json()["data"] == first.json()["data"]
        assert await counts() == before
        assert len(await mails(login.account.id)) == 1

    async def test_a_linking_flow_gives_no_tokens(self, sso, provider, login):
        flow = await sso.start_link(login)
        answer = await sso.complete(flow, provider.authorize(flow["authorization_url"]))
        assert set(answer.json()["data"]) == {"id", "provider", "email", "created_at", "last_used_at"}

    async def test_an_account_has_at_most_twenty(self, sso, provider, login, rows, counts):
        await rows(
            "INSERT INTO auth.oidc_identity (id, account_id, provider, issuer, subject, created_at) "
            "SELECT gen_random_uuid(), :id, 'x', 'x', :s || n, now() FROM generate_series(1, 20) n",
            id=login.account.id,
            s=uuid7().hex,
        )
        before = await counts()
        flow = await sso.start_link(login)
        answer = await sso.complete(flow, provider.authorize(flow["authorization_url"]))
        assert codes(answer) == (409, ["OIDC_IDENTITY_LIMIT"])
        assert await counts() == before

    @pytest.mark.usefixtures("confirmed")
    async def test_unlink(self, sso, provider, login, rows, mails):
        flow = await sso.start_link(login)
        linked = (await sso.complete(flow, provider.authorize(flow["authorization_url"]))).json()["data"]
        path = f"/api/v1/auth/oidc/identities/{linked['id']}"
        assert (await sso.api.delete(path, headers=login.headers)).status_code == 200
        assert await rows(OF_SUBJECT, s=provider.subject) == []
        assert await mails(login.account.id) == [
            ("sso_linked", {"provider": "Scripted"}),
            ("sso_unlinked", {"provider": "Scripted"}),
        ]
        audited = [action for action, _, _ in await rows(AUDIT, id=login.account.id)]
        assert audited[-2:] == ["oidc.linked", "oidc.unlinked"]
        assert codes(await sso.api.delete(path, headers=login.headers)) == (404, ["NOT_FOUND"])
        flow = await sso.start_link(login)
        linked = (await sso.complete(flow, provider.authorize(flow["authorization_url"]))).json()["data"]
        path = f"/api/v1/auth/oidc/identities/{linked['id']}"
        minimal = {**login.headers, "prefer": "return=minimal"}
        assert (await sso.api.delete(path, headers=minimal)).status_code == 204

    async def test_the_last_way_in_stays(self, sso, provider, enter, rows, test_gateway, mails):
        """Of two that are unlinked at once, one stays, and one of a provider that has gone counts for nothing."""
        data = (await enter()).json()["data"]
        user = data["user"]["id"]
        ((session,),) = await rows("SELECT id FROM auth.session WHERE user_id = :id", id=user)
        headers = test_gateway.headers(user, session_id=session)
        await rows(
            "INSERT INTO auth.oidc_identity (id, account_id, provider, issuer, subject, created_at) "
            "VALUES (gen_random_uuid(), :id, 'gone', 'x', :s, now())",
            id=user,
            s=uuid7().hex,
        )
        query = "SELECT id FROM auth.oidc_identity WHERE account_id = :id AND provider = 'scripted'"
        ((only,),) = await rows(query, id=user)
        answer = await sso.api.delete(f"/api/v1/auth/oidc/identities/{only}", headers=headers)
        assert codes(answer) == (409, ["OIDC_LAST_WAY_IN"])
        assert await rows(query, id=user) == [(only,)]
        assert await mails(user) == []

        provider.subject = f"subject-{uuid7().hex}"
        await enter()
        both = [row[0] for row in await rows(query, id=user)]
        paths = [f"/api/v1/auth/oidc/identities/{one}" for one in both]
        answers = await asyncio.gather(*(sso.api.delete(path, headers=headers) for path in paths))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert len(await rows(query, id=user)) == 1


async def test_a_login_takes_a_connection_only_when_the_provider_has_answered(open_api, provider, sso, database):
    """However slow the provider is, nobody else waits for the database."""
    began = time.monotonic()
    asked = asyncio.Event()
    go_on = asyncio.Event()
    honest = provider.token

    async def slow(request):
        asked.set()
        await go_on.wait()
        return await honest(request)

    provider.answers["/token"] = slow
    flow = await sso.start()
    code = provider.authorize(flow["authorization_url"])
    task = asyncio.create_task(sso.complete(flow, code))
    await asked.wait()
    assert database.primary.pool.checkedout() == 0
    go_on.set()
    assert (await task).status_code == 200
    assert time.monotonic() - began < 3
