"""Commands of a service beside the copy that runs."""

import subprocess
import sys

import httpx2
import pytest
from taskloom_cli.environment import SERVICES

PASSWORD = "violet-harbor-77"


@pytest.fixture
def service(place):
    """Runs `taskloom service` as a person would, in the copy's folder."""

    def service(*arguments, data=None):
        options = ["--data", str(data)] if data else []
        command = [sys.executable, "-m", "taskloom_cli.main", "service", *options, *arguments]
        return subprocess.run(command, check=False, cwd=place, capture_output=True, text=True, timeout=60)

    return service


def test_keys_rotate_and_an_administrator_is_made_beside_the_copy(start, service):
    copy = start("--no-seed")
    with httpx2.Client(base_url=copy.api, timeout=60) as client:
        registration = {"email": "boss@example.com", "password": PASSWORD, "display_name": "Boss"}
        assert client.post("/auth/register", json=registration).status_code == 201
        keys = f"{copy.summary['api']}/.well-known/jwks.json"
        before = {key["kid"] for key in client.get(keys).json()["keys"]}
        assert service("auth", "rotate-keys").returncode == 0
        assert len({key["kid"] for key in client.get(keys).json()["keys"]} - before) == 1

        unknown = service("auth", "grant-admin", "nobody@example.com")
        assert unknown.returncode != 0
        assert service("auth", "grant-admin", "boss@example.com").returncode == 0
        tokens = client.post("/auth/login", json={"email": "boss@example.com", "password": PASSWORD}).json()["data"]
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert client.get("/admin/users", headers=headers).status_code == 200


def imported_by(code):
    """Return the names of modules that a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_only_the_api_makes_routes():
    """They take as long to make as all that a worker or a command needs."""
    names = imported_by(f"import {of_services('cli')}; print(*sys.modules)")
    assert [name for name in names if name.endswith(("_service.main", ".endpoints"))] == []


def test_what_an_api_needs_is_there_before_it_is_forked():
    code = "import taskloom_cli.preload; before = set(sys.modules)"
    assert imported_by(f"{code}; import gateway.main, {of_services('main')}; print(*set(sys.modules) - before)") == []


def of_services(module):
    return ", ".join(f"{service}_service.{module}" for service in SERVICES)


def test_what_can_not_be_run_is_said_in_a_sentence(service, tmp_path):
    nothing = service("auth", "rotate-keys", data=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.startswith(f"Nothing runs in {tmp_path}: ")
    assert service("payments", "rotate-keys").stderr == (
        "There is no service payments: there are auth, tasks, notifications, attachments.\n"
    )


def test_where_addresses_have_to_be_confirmed_it_begins_empty_and_says_so(start):
    copy = start("--ephemeral", AUTH_EMAIL_VERIFICATION="required")
    assert copy.summary["users"] == []
    assert copy.errors() == "The example data needs AUTH_EMAIL_VERIFICATION=optional: none is made.\n"
