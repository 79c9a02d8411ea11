"""Files of tasks, streamed both ways."""

import hashlib

import pytest


@pytest.fixture
async def task(api, sign_up):
    user = await sign_up()
    data = (await api.post("/api/v1/tasks", json={"title": "with files"}, headers=user.headers)).json()["data"]
    return user, f"/api/v1/tasks/{data['id']}/attachments"


async def test_a_large_file_goes_up_and_comes_down(api, task):
    user, path = task
    content = bytes(range(256)) * 80_000
    answer = await api.post(path, files={"file": ("übersicht.bin", content)}, headers=user.headers)
    assert answer.status_code == 201
    file = answer.json()["data"]
    assert (file["name"], file["size"]) == ("übersicht.bin", len(content))
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    down = await api.get(f"{answer.headers['location']}/content", headers=user.headers)
    assert down.content == content
    assert down.headers["etag"] == f'"{file["sha256"]}"'
    assert down.headers["content-disposition"].startswith("attachment; filename=")
    part = await api.get(
        f"{answer.headers['location']}/content", headers={**user.headers, "range": "bytes=300000-300009"}
    )
    assert (part.status_code, part.content) == (206, content[300000:300010])
    beyond = await api.get(
        f"{answer.headers['location']}/content", headers={**user.headers, "range": "bytes=99999999-"}
    )
    assert beyond.status_code == 416
    listed = (await api.get(path, headers=user.headers)).json()
    assert [one["id"] for one in listed["data"]] == [file["id"]]
    assert (await api.delete(answer.headers["location"], headers=user.headers)).status_code == 200
    assert (await api.get(answer.headers["location"], headers=user.headers)).status_code == 404


async def test_limits_names_and_strangers(api, task, sign_up):
    user, path = task
    large = await api.post(path, files={"file": ("a", b"x" * 26_000_000 + b"y" * 1_300_000)}, headers=user.headers)
    assert large.status_code == 413
    nameless = await api.post(path, files={"file": ("..", b"x")}, headers=user.headers)
    assert nameless.json()["errors"][0]["code"] == "FILE_NAME_INVALID"
    evil = await api.post(path, files={"file": ("../../etc/pass\u202ewd", b"x", "text/html")}, headers=user.headers)
    assert (evil.json()["data"]["name"], evil.json()["data"]["content_type"]) == ("passwd", "application/octet-stream")
    missing = await api.post(path, files={"other": ("a", b"x")}, headers=user.headers)
    assert missing.status_code == 422
    stranger = await sign_up()
    for target in (path, evil.headers["location"], f"{evil.headers['location']}/content"):
        assert (await api.get(target, headers=stranger.headers)).status_code == 404
    assert (await api.delete(evil.headers["location"], headers=stranger.headers)).status_code == 404
