"""Settings: every problem at once, with the variable's name, and never what it holds."""

import os
from dataclasses import dataclass
from typing import Literal

import pytest
from chassis.roles import run_role
from chassis.settings import (
    BrokerSettings,
    CommaSeparated,
    CursorSettings,
    DatabaseSettings,
    ProcessSettings,
    SettingsError,
    SettingsGroup,
    load_settings,
)
from pydantic import Field
from pydantic_settings import SettingsConfigDict

URL = "postgresql://sample:pass-of-sample@127.0.0.1/sample"


class SampleSettings(SettingsGroup):
    model_config = SettingsConfigDict(env_prefix="SAMPLE_")

    rate_limit: int = Field(default=100, ge=1)
    mode: Literal["fast", "safe"] = "safe"
    hosts: CommaSeparated = ()


@dataclass(frozen=True)
class Settings:
    process: ProcessSettings
    database: DatabaseSettings
    cursors: CursorSettings
    sample: SampleSettings


@pytest.fixture
def environment(monkeypatch):
    """Sets the whole environment."""

    def set_environment(**variables):
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return set_environment


def load():
    return load_settings(Settings, prefix="SAMPLE_")


def problems():
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value).splitlines()


def test_what_is_set_is_read_and_the_rest_has_its_default(environment):
    environment(DATABASE_URL=URL, CURSOR_SECRET="s" * 32, SAMPLE_RATE_LIMIT="7", SAMPLE_HOSTS="a,b", PORT="")
    found = load()
    assert found.database.url.get_secret_value() == URL
    assert (found.sample.rate_limit, found.sample.mode, found.sample.hosts) == (7, "safe", ("a", "b"))
    assert found.process.port == 8000


def test_all_problems_are_told_at_once_with_examples_and_without_values(environment):
    environment(
        DATABASE_URL="mysql://root:hunter2@db/x",
        CURSOR_SECRET="short-secret",
        SAMPLE_RATE_LIMIT="many-hunter3",
        SAMPLE_MODE="hunter4",
        PORT="99999",
        DATABASE_POOL_WAIT_SECONDS="0",
    )
    found = problems()
    assert [line.split(":")[0] for line in found] == [
        "PORT",
        "DATABASE_URL",
        "DATABASE_POOL_WAIT_SECONDS",
        "CURSOR_SECRET",
        "SAMPLE_RATE_LIMIT",
        "SAMPLE_MODE",
    ]
    assert "expected a URL that begins with postgresql://" in found[1]
    assert "(for example postgresql://tasks:secret@127.0.0.1:5432/taskloom)" in found[1]
    assert "a secret has at least 32 characters" in found[3]
    text = "\n".join(found)
    assert not any(value in text for value in ("hunter", "short-secret", "99999", "mysql"))


def test_missing_variables_are_named(environment):
    environment()
    assert [line.partition(" (")[0] for line in problems()] == ["DATABASE_URL: is missing", "CURSOR_SECRET: is missing"]


@pytest.mark.parametrize("name", ["URL", "url", "SECRET", "POOL_SIZE"])
def test_a_variable_with_the_bare_name_of_a_field_is_not_taken(environment, name):
    environment(**{name: URL, "CURSOR_SECRET": "s" * 32})
    assert [line.partition(" (")[0] for line in problems()] == ["DATABASE_URL: is missing"]


def test_an_unknown_variable_with_the_prefix_is_refused_with_the_closest_name(environment):
    environment(DATABASE_URL=URL, CURSOR_SECRET="s" * 32, SAMPLE_RATE_LIMT="7", SAMPLE_ZZZ="hunter2", SIMPLE_MODE="x")
    known = "known are SAMPLE_HOSTS, SAMPLE_MODE, SAMPLE_RATE_LIMIT"
    assert problems() == [
        f"SAMPLE_RATE_LIMT: there is no such setting; did you mean SAMPLE_RATE_LIMIT? {known}",
        f"SAMPLE_ZZZ: there is no such setting; {known}",
    ]


def test_a_secret_may_come_from_a_file(environment, tmp_path):
    (tmp_path / "url").write_text(f"{URL}\n")
    (tmp_path / "limit").write_text("9")
    environment(
        DATABASE_URL_FILE=tmp_path / "url",
        DATABASE_URL="",
        CURSOR_SECRET="s" * 32,
        SAMPLE_RATE_LIMIT_FILE=tmp_path / "limit",
    )
    found = load()
    assert found.database.url.get_secret_value() == URL
    assert found.sample.rate_limit == 9


def test_the_variable_itself_counts_before_its_file(environment, tmp_path):
    environment(DATABASE_URL=URL, DATABASE_URL_FILE=tmp_path / "none", CURSOR_SECRET="s" * 32)
    assert load().database.url.get_secret_value() == URL


def test_an_empty_file_name_counts_as_not_set(environment):
    environment(DATABASE_URL=URL, DATABASE_URL_FILE="", CURSOR_SECRET="s" * 32, SAMPLE_MODE_FILE="")
    assert load().sample.mode == "safe"


def test_files_that_cannot_be_read_are_told_beside_the_other_problems(environment, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    environment(
        DATABASE_URL_FILE=tmp_path / "none",
        DATABASE_POOL_SIZE="0",
        CURSOR_SECRET_FILE=tmp_path / "binary",
        SAMPLE_MODE_FILE=tmp_path,
    )
    found = problems()
    assert found[0] == f"DATABASE_URL_FILE: {tmp_path}/none can't be read (No such file or directory)"
    assert found[1].startswith("DATABASE_POOL_SIZE: Input should be greater than or equal to 1.")
    assert found[2:] == [
        f"CURSOR_SECRET_FILE: {tmp_path}/binary can't be read (it is not text in UTF-8)",
        f"SAMPLE_MODE_FILE: {tmp_path} can't be read (Is a directory)",
    ]


@pytest.mark.parametrize("url", ["http://broker", "hunter2"])
def test_a_broker_of_another_kind_is_refused(environment, url):
    environment(BROKER_URL=url)
    with pytest.raises(ValueError, match="begins with amqp://") as caught:
        BrokerSettings()
    assert url not in str(caught.value)


def test_secrets_are_not_in_what_a_group_says_of_itself(environment):
    environment(DATABASE_URL=URL)
    assert "pass-of-sample" not in f"{DatabaseSettings()!r} {DatabaseSettings()}"


def test_a_role_ends_with_2_and_lists_what_is_wrong(environment, capsys):
    environment(SAMPLE_RATE_LIMIT="x")
    assert run_role("sample", {"api": lambda _arguments: load() and 0}, ["api"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "sample can't start with these settings:"
    assert [line.split(":")[0] for line in lines[1:]] == ["DATABASE_URL", "CURSOR_SECRET", "SAMPLE_RATE_LIMIT"]


def test_a_role_that_there_is_not_ends_with_2_and_names_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as caught:
        run_role("sample", {"api": lambda _arguments: 0, "relay": lambda _arguments: 0}, ["ap"])
    assert caught.value.code == 2
    assert "'api', 'relay'" in capsys.readouterr().err


def test_a_role_gets_its_arguments_and_its_exit_code_counts(capsys):
    assert run_role("sample", {"migrate": len}, ["migrate", "--to", "head"]) == 2
