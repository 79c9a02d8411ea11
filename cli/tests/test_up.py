"""`taskloom up` while all goes well, or nearly."""

import json
import os
import re
import signal
import stat

import httpx2
import psutil
import pytest
from taskloom_cli.data import DataFolder
from taskloom_cli.environment import EVERYWHERE, Ports, process_environments, read_passwords
from taskloom_cli.seed import seed
from taskloom_cli.seed_data import TASKS
from testkit.servers import wait_until

PEOPLE = ["ada@example.com", "ben@example.com", "cleo@example.com"]
SUMMARY = {"api", "docs", "mail", "metrics", "users", "workspace_id", "curl", "pid", "data_dir", "ready_seconds"}


def test_a_whole_life(start, status, place, type_in):
    copy = start()
    summary, ada = copy.summary, copy.summary["users"][0]
    assert set(summary) == SUMMARY
    assert summary["pid"] == copy.process.pid
    assert copy.data == place / ".taskloom" / "data"
    assert [user["email"] for user in summary["users"]] == PEOPLE
    for url in (summary["docs"], summary["mail"], *summary["metrics"].values()):
        assert status(url) == 200
    assert json.loads(type_in(summary["curl"]))["data"]["title"] == "Buy milk"
    # No webhook leads to what listens here, unless a port is opened for it.
    hook = {"url": "http://127.0.0.1:9/hook", "scope": {"type": "user"}}
    bearer = {"Authorization": f"Bearer {ada['access_token']}"}
    refusal = httpx2.post(f"{copy.api}/webhooks", json=hook, headers=bearer, timeout=60).json()
    assert [one["code"] for one in refusal["errors"]] == ["URL_NOT_ALLOWED"]
    for user in summary["users"]:
        assert status(f"{copy.api}/tasks?workspace_id={summary['workspace_id']}", user["access_token"]) == 200

    os.kill(copy.pid_of("tasks"), signal.SIGKILL)
    line = "tasks crashed (signal SIGKILL) and is being restarted"
    wait_until(lambda: line in copy.errors(), what="the line", seconds=120)
    wait_until(lambda: status(f"{copy.api}/tasks", ada["access_token"]) == 200, what="tasks answering", seconds=120)
    processes = psutil.Process(copy.process.pid).children(recursive=True)
    assert len(processes) > len(summary["metrics"])
    assert copy.end() == 0
    assert [one for one in processes if one.is_running()] == [], "not even as a zombie"
    assert not (copy.data / "run.json").exists()

    again = start(GATEWAY_RATE_LIMIT_PER_MINUTE="3", GATEWAY_LOGIN_LIMIT_PER_MINUTE="1")
    assert [user["user_id"] for user in again.summary["users"]] == [user["user_id"] for user in summary["users"]]
    assert again.summary["workspace_id"] == summary["workspace_id"]
    # A token of the first run is good at once; the start has used up nothing of Ben's limit, the first run one.
    ben = summary["users"][1]
    assert [status(f"{again.api}/users/me", ben["access_token"]) for _ in range(3)] == [200, 200, 429]


def test_a_port_of_this_machine_is_opened_for_webhooks_by_its_number(lasting_copy):
    bearer = {"Authorization": f"Bearer {lasting_copy.summary['users'][0]['access_token']}"}

    def made_for(url):
        body = {"url": url, "scope": {"type": "user"}}
        return httpx2.post(f"{lasting_copy.api}/webhooks", json=body, headers=bearer, timeout=60).status_code

    assert (made_for("http://127.0.0.1:9009/hook"), made_for("http://localhost:9009/hook")) == (201, 201)
    assert (made_for("http://127.0.0.1:9010/hook"), made_for("http://10.0.0.1:9009/hook")) == (422, 422)


def test_the_people_of_the_example_accept_invitations(lasting_copy):
    ada, ben, cleo = ({"authorization": f"Bearer {user['access_token']}"} for user in lasting_copy.summary["users"])
    with httpx2.Client(timeout=60, trust_env=False) as client:

        def mailed_token(address):
            mails = client.get(f"{lasting_copy.summary['mail']}/api/messages").json()
            ids = [one["id"] for one in mails if one["to"] == [address]]
            texts = [client.get(f"{lasting_copy.summary['mail']}/api/messages/{one}").json()["text"] for one in ids]
            found = [re.search(r'{"token": *"(.*?)"}', text)[1] for text in texts if "/invitations/accept" in text]
            return found[0] if found else None

        people = [client.get(f"{lasting_copy.api}/users/me", headers=one).json()["data"] for one in (ada, ben, cleo)]
        assert [one["email_verified"] for one in people] == [True, True, True]
        team = client.post(f"{lasting_copy.api}/workspaces", json={"name": "Choir"}, headers=ada).json()["data"]["id"]
        client.post(f"{lasting_copy.api}/workspaces/{team}/invitations", json={"email": PEOPLE[1]}, headers=ada)
        wait_until(lambda: mailed_token(PEOPLE[1]) is not None, what="the mail", seconds=120)
        token = {"token": mailed_token(PEOPLE[1])}
        others = client.post(f"{lasting_copy.api}/invitations/accept", json=token, headers=cleo)
        assert others.json()["errors"][0]["code"] == "INVITATION_FOR_ANOTHER_ADDRESS"
        accepted = client.post(f"{lasting_copy.api}/invitations/accept", json=token, headers=ben)
        assert (accepted.status_code, accepted.json()["data"]["name"]) == (200, "Choir")


def test_a_folder_may_have_any_name(lasting_copy):
    token = lasting_copy.summary["users"][0]["access_token"]
    with httpx2.Client(headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as client:
        task = client.post(f"{lasting_copy.api}/tasks", json={"title": "Buy milk"}).json()["data"]["id"]
        sent = client.post(f"{lasting_copy.api}/tasks/{task}/attachments", files={"file": ("a.txt", b"four")})
    assert sent.status_code == 201
    assert lasting_copy.data == lasting_copy.folder / ".taskloom" / "data"
    stored = [path for path in (lasting_copy.data / "files").rglob("objects/**/*") if path.is_file()]
    assert [path.read_bytes() for path in stored] == [b"four"]
    assert list((lasting_copy.data / "valkey").rglob("*.aof"))


def test_copies_side_by_side_keep_out_of_each_other_and_kill_9_leaves_nothing(
    start, complaint, status, nothing_left, place
):
    first = start("--no-seed", "--ephemeral", folder=place / "one", GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE="3")
    foreign = {"PGSSLMODE": "verify-full", "PGTARGETSESSIONATTRS": "standby", "PGSERVICE": "none"}
    second = start("--no-seed", folder=place / "two", SMTP_PORT="none", ADMIN_PORT="none", **foreign)
    assert first.summary["users"] == second.summary["users"] == []
    assert first.summary["workspace_id"] is None
    assert not (place / "one" / ".taskloom").exists()
    assert "Taskloom runs in" in complaint(folder=place / "two")
    assert (second.data / "run.json").exists()
    port = first.summary["api"].rpartition(":")[2]
    assert f"Port {port} is in use" in complaint(port=int(port))
    assert [status(f"{first.api}/status") for _ in range(4)] == [200, 200, 200, 429]
    assert status(f"{second.api}/status") == 200
    assert second.kill() == -signal.SIGKILL
    assert first.end() == 0
    assert not first.data.exists()
    nothing_left()


@pytest.fixture
def shared():
    """Returns what Ada of a copy sees: the ids of her shared workspaces, and all titles in them."""

    def look(copy):
        headers = {"authorization": f"Bearer {copy.summary['users'][0]['access_token']}"}
        with httpx2.Client(headers=headers, timeout=60, trust_env=False) as client:
            workspaces = client.get(f"{copy.api}/workspaces").json()["data"]
            ids = [one["id"] for one in workspaces if not one["personal"]]
            query = {"workspace_id": ids[0], "per_page": 100}
            return ids, sorted(task["title"] for task in client.get(f"{copy.api}/tasks", params=query).json()["data"])

    return look


def test_a_start_that_was_broken_off_goes_on_and_makes_nothing_twice(begin, start, shared, place):
    data = place / ".taskloom" / "data"
    titles = sorted(task["title"] for _, _, task in TASKS)
    copy = begin()
    wait_until((data / "seeded.json").exists, what="the note of the workspace")
    assert copy.kill() == -signal.SIGKILL
    copy = start()
    assert [user["email"] for user in copy.summary["users"]] == PEOPLE
    ids = [copy.summary["workspace_id"]]
    assert shared(copy) == (ids, titles)
    assert copy.end() == 0
    # As if it had been ended just before it noted what is there.
    (data / "seeded.json").unlink()
    assert shared(start()) == (ids, titles)


def test_the_first_person_is_an_administrator_and_a_changed_password_stops_no_start(start, status):
    copy = start()
    users = copy.summary["users"]
    answers = [status(f"{copy.api}/admin/users", user["access_token"]) for user in users]
    assert answers == [200, 403, 403]
    assert [user["is_admin"] for user in users] == [True, False, False]
    change = {"current_password": users[0]["password"], "new_password": "violet-harbor-77"}
    with httpx2.Client(timeout=60, trust_env=False) as client:
        bearer = {"authorization": f"Bearer {users[0]['access_token']}"}
        assert client.post(f"{copy.api}/auth/password/change", json=change, headers=bearer).status_code == 200
    assert copy.end() == 0
    again = start()
    ada, ben, _cleo = again.summary["users"]
    assert (ada["user_id"], ada["password"], ada["access_token"]) == (users[0]["user_id"], None, None)
    assert ben["access_token"] in again.summary["curl"]


def test_a_stranger_with_the_address_of_the_example_is_made_no_administrator(begin, start, status):
    copy = start("--no-seed")
    stranger = {"email": PEOPLE[0], "password": "violet-harbor-77"}
    with httpx2.Client(timeout=60, trust_env=False) as client:
        registration = client.post(f"{copy.api}/auth/register", json={**stranger, "display_name": "Eve"})
        assert registration.status_code == 201
        assert copy.end() == 0
        refused = begin()
        assert refused.read_line() == ""
        assert refused.process.wait(120) == 2
        assert "The example data could not be made (401: " in refused.errors()
        copy = start("--no-seed")
        token = client.post(f"{copy.api}/auth/login", json=stranger).json()["data"]["access_token"]
    assert status(f"{copy.api}/admin/users", token) == 403


def test_where_other_machines_reach_a_copy_nobody_of_the_example_is_an_administrator(start, status):
    copy = start("--no-seed")
    folder = DataFolder(copy.data, ephemeral=False)
    ports = Ports(**json.loads((copy.data / "run.json").read_text(encoding="utf-8"))["ports"])
    environments = process_environments(folder, ports, read_passwords(folder))
    # As if it had been started with HOST=0.0.0.0, without serving other machines for it.
    environments["gateway"]["HOST"] = EVERYWHERE
    said = []
    users, _ = seed(folder, ports, environments=environments, say=said.append)
    assert [user.email for user in users] == PEOPLE
    assert status(f"{copy.api}/admin/users", users[0].access_token) == 403
    assert [user.is_admin for user in users] == [False, False, False]
    (sentence,) = said
    assert sentence.startswith("Other machines reach this copy, and everybody knows the password of ada@example.com: ")


def test_a_setting_can_come_from_a_file_and_a_start_ended_while_people_sign_up_goes_on(begin, start, status, place):
    copy = begin()
    wait_until((place / ".taskloom" / "data" / "logs" / "seed.log").exists, what="the seed")
    assert copy.kill() == -signal.SIGKILL
    limit = place / "limit"
    limit.write_text("2\n", encoding="utf-8")
    copy = start(GATEWAY_RATE_LIMIT_PER_MINUTE_FILE=str(limit), GATEWAY_REDIS_PATIENCE_MS="5000")
    token = copy.summary["users"][0]["access_token"]
    assert [status(f"{copy.api}/users/me", token) for _ in range(3)] == [200, 200, 429]


def test_what_is_kept_is_closed_to_others_and_what_had_to_be_opened_is_named(start, place):
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    (closed / "project").mkdir(mode=0o700)
    copy = start("--no-seed", folder=closed / "project")
    for part in ("files", "valkey", "logs", "secrets", "postgres"):
        assert stat.S_IMODE((copy.data / part).stat().st_mode) == 0o700, part
    root = os.geteuid() == 0
    assert stat.S_IMODE(copy.data.stat().st_mode) == (0o701 if root else 0o700)
    said = f"Opened for the user that PostgreSQL runs as, to walk through (chmod o+x): {closed}\n"
    assert copy.errors() == (said if root else "")

    assert copy.end() == 0
    logs = [copy.data / "logs" / f"{name}.log" for name in ("auth", "postgres", "valkey")]
    for log in logs:
        os.truncate(log, 21 * 2**20)
    start("--no-seed", folder=closed / "project")
    for log in logs:
        older = log.with_suffix(".log.1")
        wait_until(
            lambda older=older: older.exists() and older.stat().st_size >= 21 * 2**20, what=older.name, seconds=120
        )
        wait_until(lambda log=log: log.stat().st_size < 2**20, what=log.name, seconds=120)
        assert stat.S_IMODE(older.stat().st_mode) == 0o600


def test_a_valkey_that_crashes_is_started_again_and_all_else_goes_on(start, status):
    copy = start("--ephemeral")
    token, before = copy.summary["users"][0]["access_token"], copy.pid_of("Valkey")
    others = {name: copy.pid_of(name) for name in ("gateway", "tasks", "tasks-background", "PostgreSQL")}
    (copy.data / "run.json.new").mkdir()
    os.kill(before, signal.SIGKILL)
    line = "Valkey crashed (signal SIGKILL) and is being restarted"
    wait_until(lambda: line in copy.errors(), what="the line", seconds=120)
    # Its note of what runs can't be written, which is said and ends nothing.
    wait_until(lambda: "run.json.new: Is a directory" in copy.errors(), what="the second line", seconds=120)
    (copy.data / "run.json.new").rmdir()
    os.kill(copy.pid_of("mail"), signal.SIGKILL)
    wait_until(lambda: copy.pid_of("Valkey") != before, what="a new note", seconds=120)
    wait_until(lambda: status(f"{copy.api}/tasks", token) == 200, what="an answer", seconds=120)
    assert {name: copy.pid_of(name) for name in others} == others
    assert copy.end() == 0
