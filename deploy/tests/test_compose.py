"""docker-compose.yml and the images against what the services' own code says; runs without a container engine."""

import os
import re
from collections.abc import Callable
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import attachments_service.cli
import attachments_service.settings
import attachments_service.worker
import auth_service.cli
import auth_service.settings
import gateway.cli
import gateway.settings
import notifications_service.cli
import notifications_service.settings
import notifications_service.worker
import pytest
import redis.asyncio as redis
import tasks_service.cli
import tasks_service.settings
import tasks_service.worker
from chassis.background import MigrationSettings, SchemaSettings
from chassis.settings import ProcessSettings, groups_of, load_settings, variables

ROOT = Path(__file__).parents[2]
SERVICES = ("auth", "tasks", "notifications", "attachments")
CONSUMING = SERVICES
DOCKERFILES = [
    *(f"services/{service}/Dockerfile" for service in SERVICES),
    "gateway/Dockerfile",
    "deploy/mail/Dockerfile",
]

COMMANDS = {
    "auth": auth_service.cli.main,
    "tasks": tasks_service.cli.main,
    "notifications": notifications_service.cli.main,
    "attachments": attachments_service.cli.main,
    "gateway": gateway.cli.main,
}
SETTINGS = {
    "auth": (auth_service.settings.Settings,),
    "tasks": (tasks_service.settings.Settings,),
    "notifications": (notifications_service.settings.Settings, notifications_service.settings.ApiSettings),
    "attachments": (attachments_service.settings.Settings,),
    "gateway": (gateway.settings.Settings,),
}
LOADERS = {
    "auth": auth_service.settings,
    "tasks": tasks_service.settings,
    "notifications": notifications_service.settings,
    "attachments": attachments_service.settings,
    "gateway": gateway.settings,
}
OF_THE_MAIL_CATCHER = {"SMTP_PORT"}

# All other commands of a service do one thing when somebody asks for it, or are some of these in one process.
ROLES = {"migrate", "api", "worker", "relay", "scheduler"}

SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY")


def service_of(container: dict[str, Any]) -> str:
    return container["image"].removeprefix("taskloom/")


def role_of(container: dict[str, Any]) -> str:
    return container.get("command", ["api"])[0]


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in compose["services"].items() if one["image"].startswith("taskloom/")}


def of_services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in ours(compose).items() if service_of(one) in COMMANDS}


def steps(compose: dict[str, Any]) -> set[str]:
    """Containers that run to their end."""
    return {name for name, one in compose["services"].items() if one["restart"] == "on-failure"}


def known_settings(service: str) -> set[str]:
    groups = [group for settings in SETTINGS[service] for group in groups_of(settings).values()]
    return {name for group in groups for name in variables(group)}


def roles_of_command(service: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit) as ended:
        COMMANDS[service](["--help"])
    assert ended.value.code == 0
    choices = re.search(r"\{([a-z,-]+)\}", capsys.readouterr().out)
    return set(choices[1].split(","))


def test_every_setting_given_is_one_that_the_service_reads(
    compose: dict[str, Any], environments: dict[str, dict[str, str]]
):
    unknown = {
        name: sorted(given)
        for name, container in of_services(compose).items()
        if (given := environments[name].keys() - known_settings(service_of(container)))
    }
    assert unknown == {}


def test_every_process_accepts_the_settings_that_it_is_given(
    compose: dict[str, Any], environments: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
):
    for name, container in of_services(compose).items():
        for inherited in list(os.environ):
            monkeypatch.delenv(inherited)
        for variable, value in environments[name].items():
            monkeypatch.setenv(variable, value)
        loader_of(service_of(container), role_of(container))()
        monkeypatch.undo()


def loader_of(service: str, role: str) -> Callable[[], object]:
    module = LOADERS[service]
    if role == "migrate":
        return partial(load_settings, MigrationSettings if service in CONSUMING else SchemaSettings)
    return getattr(module, "load_api", module.load) if role == "api" else module.load


@pytest.mark.parametrize("service", COMMANDS)
def test_every_role_of_a_service_runs_exactly_once(
    compose: dict[str, Any], capsys: pytest.CaptureFixture[str], service: str
):
    run = sorted(role_of(one) for one in ours(compose).values() if service_of(one) == service)
    assert run == sorted(roles_of_command(service, capsys) & ROLES)


def test_migrations_know_the_servers_and_no_other_secret(
    compose: dict[str, Any], environments: dict[str, dict[str, str]]
):
    for name, container in of_services(compose).items():
        if role_of(container) == "migrate":
            servers = {"DATABASE_URL", "BROKER_URL"} if service_of(container) in CONSUMING else {"DATABASE_URL"}
            assert environments[name].keys() == {"ENVIRONMENT", "LOG_LEVEL", "DRAIN_SECONDS"} | servers, name


def test_only_the_gateway_can_sign_identities(environments: dict[str, dict[str, str]]):
    assert [name for name, given in environments.items() if "IDENTITY_SIGNING_KEY" in given] == ["gateway"]


def test_only_who_asks_for_mail_and_who_sends_it_can_open_its_tokens(environments: dict[str, dict[str, str]]):
    knowing = {name.partition("-")[0] for name, given in environments.items() if "MAIL_SEALING_KEYS" in given}
    assert knowing == {"auth", "tasks", "notifications"}


def test_links_in_mails_lead_where_the_gateway_is(environments: dict[str, dict[str, str]]):
    assert environments["notifications-worker"]["PUBLIC_BASE_URL"] == environments["gateway"]["PUBLIC_BASE_URL"]


def test_r67_no_secret_has_a_default(compose_text: str):
    used = re.findall(r"\$\{([A-Z_]+)([^}]*)\}", compose_text)
    lax = [name for name, rest in used if SECRET_NAME.search(name) and not rest.startswith(":?")]
    assert lax == []


def test_secrets_made_are_those_that_compose_asks_for(compose_text: str, secrets: dict[str, str]):
    assert set(re.findall(r"\$\{([A-Z_]+):\?", compose_text)) == set(secrets)


def test_every_service_has_a_database_role_of_its_own(environments: dict[str, dict[str, str]], secrets: dict[str, str]):
    for service in SERVICES:
        password = secrets[f"{service.upper()}_DATABASE_PASSWORD"]
        urls = {given["DATABASE_URL"] for name, given in environments.items() if name.split("-")[0] == service}
        assert urls == {f"postgresql://{service}:{password}@postgres:5432/taskloom"}
    roles = (ROOT / "deploy/compose/postgres-roles.sh").read_text()
    assert re.findall(r"^add_role ([a-z]+) ", roles, re.MULTILINE) == list(SERVICES)


def test_r51_every_service_has_a_broker_user_of_its_own(
    environments: dict[str, dict[str, str]], secrets: dict[str, str]
):
    for service in SERVICES:
        password = secrets[f"{service.upper()}_BROKER_PASSWORD"]
        urls = {given.get("BROKER_URL") for name, given in environments.items() if name.split("-")[0] == service}
        assert urls - {None} == {f"amqp://{service}:{password}@rabbitmq:5672/"}


def test_r51_the_rights_of_a_broker_user_cover_its_queues_and_no_others(users: Any):
    server = redis.Redis.from_url("redis://127.0.0.1:1")
    queues = {
        "tasks": [one.queue.name for one in tasks_service.worker.CONSUMERS],
        "notifications": [one.queue.name for one in notifications_service.worker.consumers(server)],
        "attachments": [one.queue.name for one in attachments_service.worker.CONSUMERS],
    }
    for service in queues:
        rights = re.compile(users.consuming(service)["configure"])
        for owner, names in queues.items():
            assert [bool(rights.search(name)) for name in names] == [owner == service] * len(names)


@pytest.fixture(scope="module")
def users() -> Any:
    """The script that makes the broker's users."""
    loader = SourceFileLoader("add_users", str(ROOT / "deploy/compose/rabbitmq/add-users"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_processes_are_confined(compose: dict[str, Any]):
    for name, container in ours(compose).items():
        assert container["read_only"] is True, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name


def test_everything_that_keeps_running_has_a_health_check(compose: dict[str, Any]):
    for name, container in compose["services"].items():
        check = container["healthcheck"]
        assert check == {"disable": True} if name in steps(compose) else check["test"][0] in {"CMD", "CMD-SHELL"}, name


def test_r63_a_process_has_time_for_an_orderly_end(compose: dict[str, Any]):
    defaults = ProcessSettings.model_fields
    needed = defaults["drain_seconds"].default + defaults["shutdown_seconds"].default + 2
    for name, container in ours(compose).items():
        assert int(container["stop_grace_period"].removesuffix("s")) >= needed, name


def test_processes_start_after_their_migrations_and_these_with_a_healthy_database(compose: dict[str, Any]):
    for name, container in of_services(compose).items():
        service = service_of(container)
        waits = {dependency: how["condition"] for dependency, how in container["depends_on"].items()}
        if service == "gateway":
            assert waits["auth"] == waits["tasks"] == waits["valkey"] == "service_healthy"
        elif role_of(container) == "migrate":
            assert waits["postgres"] == "service_healthy", name
            assert ("rabbitmq-users" in waits) == (service in CONSUMING), name
        else:
            assert waits[f"{service}-migrate"] == "service_completed_successfully", name
        if role_of(container) in {"worker", "relay"}:
            assert waits["rabbitmq-users"] == "service_completed_successfully", name


def test_nothing_listens_beyond_this_machine(compose: dict[str, Any]):
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert set(published) == {"gateway", "mail"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_every_image_is_built_from_a_dockerfile_of_the_repository(compose: dict[str, Any]):
    built = {one["build"]["dockerfile"] for one in compose["services"].values() if "build" in one}
    assert built == set(DOCKERFILES)
    assert {one["image"] for one in ours(compose).values()} == {
        one["image"] for one in compose["services"].values() if "build" in one
    }


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_is_small_and_without_root(dockerfile: str):
    build, final = re.split(r"^FROM .*\n", (ROOT / dockerfile).read_text(), flags=re.MULTILINE)[1:]
    assert "uv sync --frozen --no-dev" in build
    assert "pip" not in final
    assert "\nUSER 10001\n" in final
    assert 'CMD ["python", "-m", "chassis.probe"]\nENTRYPOINT ["python", "-m", "chassis.entry", "' in final


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_settings_of_an_image_are_known(dockerfile: str):
    final = (ROOT / dockerfile).read_text().split("\nUSER 10001\n")[1]
    given = set(re.findall(r"([A-Z_]+)=", re.search(r"^ENV (.*)$", final, re.MULTILINE)[1]))
    assert given - OF_THE_MAIL_CATCHER <= variables(ProcessSettings).keys()
