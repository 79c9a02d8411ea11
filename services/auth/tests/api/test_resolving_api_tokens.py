"""What the gateway is told of an API token (R14), decided from its owner's state at that moment."""

import asyncio
import hashlib
import hmac
import json
from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from chassis.secret_tokens import API_TOKEN
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

PATH = "/internal/api-tokens/resolve"
INACTIVE = {"active": False}
KEYS = {"k1": b64decode("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), "k2": bytes(range(32))}
TWO_KEYS = "k2:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
INSERT = """
INSERT INTO auth.api_token (id, account_id, created_by, name, digest, digest_key, prefix, scopes, workspace_id,
    project_ids, ip_allowlist, read_only, expires_at, created_at, revoked_at)
VALUES (:id, :account_id, :account_id, 'CI', :digest, :kid, :prefix, CAST(:scopes AS varchar[]), :workspace_id,
    CAST(:project_ids AS uuid[]), CAST(:ip_allowlist AS varchar[]), :read_only, :expires_at, now(), :revoked_at)
"""


@dataclass(frozen=True)
class Stored:
    id: UUID
    text: str

    @property
    def sha256(self):
        return hashlib.sha256(self.text.encode()).hexdigest()


def stored_as(text, kid):
    """The digest as the format says it, made without the service's code."""
    info = b"taskloom api token pepper"
    pepper = HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(KEYS[kid])
    return hmac.new(pepper, hashlib.sha256(text.encode()).digest(), hashlib.sha256).digest()


@pytest.fixture
def store(rows, account):
    async def store(kid="k1", **given):
        text = API_TOKEN.new()
        values = {
            "id": uuid7(),
            "account_id": account.id,
            "digest": given.get("digest") or stored_as(text, kid),
            "kid": kid,
            "prefix": text.removeprefix("tlm_pat_")[:8],
            "scopes": ["tasks:read"],
            "workspace_id": None,
            "project_ids": None,
            "ip_allowlist": None,
            "read_only": False,
            "expires_at": utcnow() + timedelta(days=1),
            "revoked_at": None,
            **given,
        }
        await rows(INSERT, **values)
        return Stored(values["id"], text)

    return store


@pytest.fixture
def resolve(api, test_gateway):
    async def resolve(token, address="203.0.113.7", on=None):
        body = {"digest": token.sha256, "address": address}
        answer = await (on or api).post(PATH, json=body, headers=test_gateway.service_headers())
        assert answer.status_code == 200, answer.text
        return answer.json()

    return resolve


@pytest.fixture
def audited(rows):
    async def audited(token):
        query = (
            "SELECT action, outcome, host(address::inet) FROM auth.audit_event WHERE credential_id = :id ORDER BY id"
        )
        return await rows(query, id=token.id)

    return audited


async def test_r14_an_active_token_is_told_with_all_that_bounds_it(store, resolve, account):
    workspace, project, expires = uuid7(), uuid7(), utcnow().replace(microsecond=0) + timedelta(days=3)
    token = await store(
        scopes=["tasks:read", "comments:write"],
        workspace_id=workspace,
        project_ids=[project],
        ip_allowlist=["203.0.113.0/24"],
        read_only=True,
        expires_at=expires,
    )
    assert await resolve(token) == {
        "active": True,
        "token_id": str(token.id),
        "user_id": str(account.id),
        "kind": "user",
        "roles": ["user"],
        "scopes": ["tasks:read", "comments:write"],
        "workspace_id": str(workspace),
        "project_ids": [str(project)],
        "ip_allowlist": ["203.0.113.0/24"],
        "read_only": True,
        "expires_at": expires.isoformat().replace("+00:00", "Z"),
    }


async def test_r14_unknown_revoked_and_expired_are_inactive_alike(store, resolve):
    known = await store()
    revoked = await store(revoked_at=utcnow())
    expired = await store(expires_at=utcnow())
    assert [await resolve(one) for one in (Stored(known.id, API_TOKEN.new()), revoked, expired)] == [INACTIVE] * 3
    assert (await resolve(known))["active"] is True


@pytest.mark.parametrize(
    "state",
    [
        *(f"status = '{status}'" for status in ("deactivated", "disabled", "deleting", "deleted")),
        "password_reset_required = true",
    ],
)
async def test_an_owner_who_may_have_no_session_has_no_token_either_until_that_ends(
    store, resolve, rows, account, state
):
    token = await store()
    await rows(f"UPDATE auth.account SET {state} WHERE id = :id", id=account.id)  # noqa: S608 - of this file
    assert await resolve(token) == INACTIVE
    back = "UPDATE auth.account SET status = 'active', password_reset_required = false WHERE id = :id"
    await rows(back, id=account.id)
    assert (await resolve(token))["active"] is True


async def test_an_unverified_owner_counts_only_where_addresses_must_be_verified(
    store, resolve, rows, account, open_api
):
    token = await store()
    await rows("UPDATE auth.account SET email_verified_at = NULL WHERE id = :id", id=account.id)
    assert (await resolve(token))["active"] is True
    async with open_api(email_verification="required") as strict:
        assert await resolve(token, on=strict) == INACTIVE
        await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
        assert (await resolve(token, on=strict))["active"] is True


async def test_r14_scopes_come_with_the_roles_that_the_owner_has_at_use(store, resolve, rows, account):
    token = await store(scopes=["admin:*", "tasks:read"])
    for roles in (["user"], ["user", "admin"], ["user"]):
        await rows("UPDATE auth.account SET roles = :roles WHERE id = :id", roles=roles, id=account.id)
        told = await resolve(token)
        assert (told["scopes"], told["roles"]) == (["admin:*", "tasks:read"], roles)


async def test_a_token_of_a_service_account_depends_on_that_account_alone(store, resolve, rows, open_api):
    bot = uuid7()
    await rows(
        "INSERT INTO auth.account (id, kind, display_name, timezone, roles, version, created_at, updated_at)"
        " VALUES (:id, 'service', 'Bot', 'UTC', '{user}', 1, now(), now())",
        id=bot,
    )
    token = await store(account_id=bot)
    told = await resolve(token)
    assert (told["user_id"], told["kind"], told["active"]) == (str(bot), "service_account", True)
    async with open_api(email_verification="required") as strict:
        assert (await resolve(token, on=strict))["active"] is True
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=bot)
    assert await resolve(token) == INACTIVE


async def test_r14_the_last_use_is_noted_at_most_once_a_minute_and_the_first_is_audited(store, resolve, rows, audited):
    token = await store()
    query = "SELECT last_used_at, last_used_address FROM auth.api_token WHERE id = :id"
    await asyncio.gather(*(resolve(token) for _ in range(8)))
    ((first, address),) = await rows(query, id=token.id)
    assert address == "203.0.113.7"
    await resolve(token, address="198.51.100.9")
    assert await rows(query, id=token.id) == [(first, "203.0.113.7")]
    await rows("UPDATE auth.api_token SET last_used_at = now() - interval '61 seconds' WHERE id = :id", id=token.id)
    await resolve(token, address="::ffff:198.51.100.9")
    ((later, address),) = await rows(query, id=token.id)
    assert (later > first, address) == (True, "198.51.100.9")
    assert await audited(token) == [("api_token.first_used", "success", "203.0.113.7")]


async def test_a_use_from_elsewhere_is_told_but_is_no_use_and_is_audited_once_a_minute(store, resolve, rows, audited):
    token = await store(ip_allowlist=["203.0.113.7/32", "2001:db8::/32"])
    told = await asyncio.gather(*(resolve(token, address="203.0.113.8") for _ in range(5)))
    assert [one["active"] for one in told] == [True] * 5
    refused = ("api_token.used_elsewhere", "refused", "203.0.113.8")
    assert await audited(token) == [refused]
    assert await rows("SELECT last_used_at FROM auth.api_token WHERE id = :id", id=token.id) == [(None,)]
    await rows("UPDATE auth.api_token SET used_elsewhere_at = now() - interval '61 s' WHERE id = :id", id=token.id)
    await resolve(token, address="203.0.113.8")
    await resolve(token, address="2001:db8::1")
    assert await audited(token) == [refused, refused, ("api_token.first_used", "success", "2001:db8::1")]
    assert (await resolve(await store(ip_allowlist=["203.0.113.7/32"]), address=None))["active"] is True


async def test_r14_a_token_under_an_older_key_is_found_and_stored_anew(store, resolve, rows, open_api):
    token = await store()
    query = "SELECT digest, digest_key FROM auth.api_token WHERE id = :id"
    async with open_api(encryption_keys=SecretStr(TWO_KEYS)) as rotated:
        told = await asyncio.gather(*(resolve(token, on=rotated) for _ in range(4)))
        assert [one["token_id"] for one in told] == [str(token.id)] * 4
        assert await rows(query, id=token.id) == [(stored_as(token.text, "k2"), "k2")]
        assert (await resolve(token, on=rotated))["active"] is True
    assert await resolve(token) == INACTIVE


async def test_a_digest_counts_only_under_the_key_that_it_was_made_with(store, resolve):
    text = API_TOKEN.new()
    token = await store(digest=stored_as(text, "k1"), kid="k9")
    assert await resolve(Stored(token.id, text)) == INACTIVE


async def test_only_processes_of_the_system_may_ask(api, account, test_gateway, store):
    token = await store()
    body = {"digest": token.sha256, "address": None}
    for headers in (account.headers(), test_gateway.token_headers(account.id, "admin:*")):
        answer = await api.post(PATH, json=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")


HOSTILE = [
    "",
    "0",
    "0" * 63,
    "0" * 65,
    "0" * 64 + "\n",
    "G" * 64,
    "A" * 64,
    "é" * 64,
    "\u0660" * 64,
    "\ud800",
    "\0" * 64,
    "' OR 1=1 --",
    "%",
    "_" * 64,
    "../" * 21,
    "tlm_pat_" + "0" * 38,
    "0x" + "0" * 62,
    " " * 64,
    "-" + "0" * 63,
    None,
    True,
    0,
    1.5,
    10**80,
    [],
    {},
    ["0" * 64],
    {"digest": "0" * 64},
]
ADDRESSES = ["", "x", "1.2.3.4.5", "::1%eth0", "0" * 45, "0" * 46, "\0", "\ud800", "1.2.3.4\r\nx: y", 7, [], {}, True]


async def test_r14_hostile_questions_are_never_a_5xx(api, test_gateway):
    whole = [
        "",
        "null",
        "[]",
        "{}",
        "{",
        "NaN",
        '{"digest": 1e999}',
        "[" * 1000,
        '{"digest":"a","digest":"b"}',
        "\ufeff{}",
    ]
    bodies = [
        *({"digest": digest, "address": None} for digest in HOSTILE),
        *({"digest": digest, "address": "203.0.113.7", "more": digest} for digest in HOSTILE),
        *({"digest": f"{number:064x}", "address": None} for number in range(20)),
        *({"digest": "f" * 64, "address": address} for address in ADDRESSES),
        {"digest": "0" * 64},
    ]
    headers = {**test_gateway.service_headers(), "content-type": "application/json"}
    seen = set()
    contents = [json.dumps(body).encode() for body in bodies] + [text.encode() for text in whole]
    for content in contents:
        answer = await api.post(PATH, content=content, headers=headers)
        assert answer.status_code < 500, content
        assert answer.status_code != 200 or answer.json() == INACTIVE, content
        seen.add(answer.status_code)
    assert (len(contents), seen) == (100, {200, 400, 422})
