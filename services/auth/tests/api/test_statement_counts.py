"""How many statements the requests that come most often take, so that they don't grow."""

import hashlib

import pytest

LOGIN, REFRESH, RESOLVE_AGAIN = 10, 6, 1
MAKE_TOKEN = {"name": "CI", "scopes": ["tasks:read"]}


def asked(statements):
    """Leave out the look at the signing keys that is due once in a while, by whichever request comes then."""
    return [statement for statement in statements if "FROM auth.signing_key" not in statement]


async def test_a_login_by_password_takes_few_statements(log_in, account, statements):
    await log_in(account)
    statements.clear()
    await log_in(account)
    assert len(asked(statements)) == LOGIN, statements


async def test_a_refresh_takes_few_statements(api, login, statements):
    statements.clear()
    answer = await api.post("/api/v1/auth/refresh", json={"refresh_token": login.tokens["refresh_token"]})
    assert answer.status_code == 200
    assert len(asked(statements)) == REFRESH, statements


@pytest.mark.parametrize("ip_allowlist", [None, ["203.0.113.0/24"]], ids=["allowed", "elsewhere"])
async def test_r14_a_second_resolve_within_a_minute_only_reads(api, login, test_gateway, statements, ip_allowlist):
    body = {**MAKE_TOKEN, "ip_allowlist": ip_allowlist}
    made = await api.post("/api/v1/auth/tokens", json=body, headers=login.headers)
    digest = hashlib.sha256(made.json()["data"]["token"].encode()).hexdigest()
    for _ in range(2):
        statements.clear()
        answer = await api.post(
            "/internal/api-tokens/resolve",
            json={"digest": digest, "address": "192.0.2.1"},
            headers=test_gateway.service_headers(),
        )
        assert answer.json()["active"] is True
    assert len(asked(statements)) == RESOLVE_AGAIN, statements
