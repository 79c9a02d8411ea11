"""Signing up, logging in, refreshing, logging out."""

import asyncio

import httpx2
from testkit.waiting import eventually


async def test_tokens_are_as_documented(api, sign_up):
    user = await sign_up()
    answer = await api.post("/api/v1/auth/login", json={"email": user.email, "password": "violet-harbor-77"})
    data = answer.json()["data"]
    assert set(data) == {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "user"}
    assert data["token_type"] == "bearer"
    assert data["expires_in"] == 86400
    assert answer.headers["cache-control"] == "no-store"
    assert data["user"]["email"] == user.email
    assert data["refresh_token"].startswith("tlm_rt_")


async def test_a_taken_address_is_409_whatever_its_case(api, sign_up):
    user = await sign_up()
    body = {"email": user.email.upper(), "password": "violet-harbor-77", "display_name": "Twin"}
    answer = await api.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["code"] == "EMAIL_TAKEN"


async def test_r10_unknown_account_and_wrong_password_look_the_same(api, sign_up):
    user = await sign_up()
    known = await api.post("/api/v1/auth/login", json={"email": user.email, "password": "not this one"})
    unknown = await api.post("/api/v1/auth/login", json={"email": "nobody@example.com", "password": "not this one"})
    assert known.status_code == unknown.status_code == 401
    assert known.json()["errors"] == unknown.json()["errors"]
    assert known.json()["errors"][0]["code"] == "INVALID_CREDENTIALS"
    assert known.headers["www-authenticate"] == "Bearer"


async def test_r8_weak_passwords_are_refused(api):
    for password, code in (
        ("short", "PASSWORD_LENGTH"),
        ("password1", "PASSWORD_BREACHED"),
        ("taskloom!", "PASSWORD_BREACHED"),
    ):
        body = {"email": "weak@example.com", "password": password, "display_name": "W"}
        answer = await api.post("/api/v1/auth/register", json=body)
        assert answer.status_code == 422, password
        assert answer.json()["errors"][0]["code"] == code
        assert password not in answer.text


async def test_r5_refresh_rotates_and_reuse_ends_the_session(api, sign_up):
    user = await sign_up()
    first = await api.post("/api/v1/auth/refresh", json={"refresh_token": user.refresh_token})
    assert first.status_code == 200
    second_token = first.json()["data"]["refresh_token"]
    again = await api.post("/api/v1/auth/refresh", json={"refresh_token": user.refresh_token})
    assert again.json()["data"]["refresh_token"] == second_token
    third = await api.post("/api/v1/auth/refresh", json={"refresh_token": second_token})
    assert third.status_code == 200
    reused = await api.post("/api/v1/auth/refresh", json={"refresh_token": user.refresh_token})
    assert reused.status_code == 401
    assert reused.json()["errors"][0]["code"] == "REFRESH_REUSED"
    dead = await api.post("/api/v1/auth/refresh", json={"refresh_token": third.json()["data"]["refresh_token"]})
    assert dead.json()["errors"][0]["code"] == "INVALID_REFRESH_TOKEN"


async def test_parallel_refreshes_of_one_token_give_one_successor(api, sign_up):
    user = await sign_up()
    body = {"refresh_token": user.refresh_token}
    answers = await asyncio.gather(*(api.post("/api/v1/auth/refresh", json=body) for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.json()["data"]["refresh_token"] for answer in answers}) == 1


async def test_r6_logout_ends_the_token_within_two_seconds_and_no_other(api, sign_up, log_in_again):
    user = await sign_up()
    other = await log_in_again(user)
    assert (await api.post("/api/v1/auth/logout", headers=user.headers)).status_code == 200

    async def refused():
        return (await api.get("/api/v1/users/me", headers=user.headers)).status_code == 401

    await eventually(refused, seconds=2)
    assert (await api.get("/api/v1/users/me", headers=other.headers)).status_code == 200


async def test_sessions_can_be_listed_and_ended(api, sign_up, log_in_again):
    user = await sign_up()
    other = await log_in_again(user)
    listed = (await api.get("/api/v1/auth/sessions", headers=user.headers)).json()["data"]
    assert [session["current"] for session in listed] == [False, True]
    ended = await api.delete(f"/api/v1/auth/sessions/{listed[0]['id']}", headers=user.headers)
    assert ended.status_code == 200

    async def refused():
        return (await api.get("/api/v1/users/me", headers=other.headers)).status_code == 401

    await eventually(refused, seconds=2)


async def test_profile_is_a_merge_patch(api, sign_up):
    user = await sign_up()
    before = await api.get("/api/v1/users/me", headers=user.headers)
    same = await api.patch("/api/v1/users/me", json={}, headers=user.headers)
    assert same.headers["etag"] == before.headers["etag"] == '"1"'
    changed = await api.patch("/api/v1/users/me", json={"timezone": "Europe/Berlin"}, headers=user.headers)
    assert changed.json()["data"]["timezone"] == "Europe/Berlin"
    assert changed.headers["etag"] == '"2"'
    bad = await api.patch("/api/v1/users/me", json={"timezone": "Europe/Nowhere"}, headers=user.headers)
    assert bad.json()["errors"][0]["code"] == "INVALID_TIMEZONE"


async def test_the_oauth2_form_works_for_explorers(base_url, sign_up):
    user = await sign_up()
    form = {"grant_type": "password", "username": user.email, "password": "violet-harbor-77"}
    async with httpx2.AsyncClient(base_url=base_url, timeout=60) as client:
        answer = await client.post("/api/v1/auth/token", data=form)
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "bearer"
    assert "success" not in answer.json()
