"""R65: what a process writes on stderr; and that nothing is traced unless the environment says where to."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from chassis.telemetry.tracing import new_traceparent, tracing_configured, valid_traceparent

PROGRAM = """
import logging
import structlog
from chassis.context import RequestContext
from chassis.telemetry.logs import configure_logs
from opentelemetry import trace
from chassis.telemetry.tracing import configure_tracing
configure_logs(service="sample", level="{level}", form="{form}")
configure_tracing(service="sample")
log = structlog.get_logger()
{body}
"""
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def written(body, *, level="INFO", form="json", **environment):
    """Run code in a process of its own and return what it logged."""
    command = [sys.executable, "-c", PROGRAM.format(body=body, level=level, form=form)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == ""
    return done.stderr


@pytest.fixture
def logged():
    """Runs code in a process of its own and returns the lines that it logged."""

    def logged(body, **options):
        return [json.loads(line) for line in written(body, **options).rstrip("\n").split("\n")]

    return logged


def test_r65_a_line_is_one_json_object_with_service_level_and_utc(logged):
    [line] = logged('log.info("thing.made", number=7, request_id="r-1")')
    at = line.pop("at")
    assert at.endswith("Z")
    assert line == {"event": "thing.made", "level": "info", "service": "sample", "number": 7, "request_id": "r-1"}


def test_r65_a_line_has_all_that_was_bound_and_says_when_to_the_microsecond(logged):
    body = (
        'structlog.contextvars.bind_contextvars(request_id="r-1", trace_id="t-1", of="bound")\n'
        'log.exception("a", of="given", exc_info=False)\n'
        'log.warning("b", password=None, number=1.5, flag=True, nothing=None, ids={"x"}, pair=("a@b.example", 2))'
    )
    first, second = logged(body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.pop("at"))
    bound = {"service": "sample", "request_id": "r-1", "trace_id": "t-1"}
    assert first == {"event": "a", "level": "error", "of": "given", **bound}
    del second["at"]
    given = {"number": 1.5, "flag": True, "nothing": None, "ids": ["x"], "pair": ["***@b.example", 2]}
    assert second == {"event": "b", "level": "warning", "of": "bound", "password": "[redacted]", **given, **bound}


LINES_OF_REQUESTS = """
from chassis.telemetry.logs import REQUEST_LINES, bind_ids
bind_ids(request_id="r-1", trace_id="t-1")
def both(event, **fields):
    log.info(event, **fields)
    REQUEST_LINES.write(event, **fields)
"""
TOLD = {"method": "GET", "route": "/tasks/{task_id}", "status": 200, "ms": 1.5}


def test_r65_the_line_of_a_request_is_what_structlog_makes_of_it(logged):
    random = Random(4711)
    told = [
        {
            "event": random.choice(["request.served", "request.aborted"]),
            "method": random.choice(["GET", "HEAD", "PATCH", "other"]),
            "route": random.choice(["unmatched", "/api/v1/tasks/{task_id}", '/"\\\n\u2028ünïcödé']),
            "status": random.choice([0, 200, 404, 499, 503]),
            "ms": random.choice([0.0, 0.1, 1234567.8, round(random.expovariate(0.01), 1)]),
        }
        for _ in range(100)
    ]
    lines = logged(f"{LINES_OF_REQUESTS}for told in {told!r}: both(**told)")
    assert len(lines) == 200
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", line.pop("at")) for line in lines)
    assert lines[0::2] == lines[1::2]
    always = {"level": "info", "service": "sample", "request_id": "r-1", "trace_id": "t-1"}
    assert lines[0::2] == [one | always for one in told]


def test_r65_the_line_of_a_request_is_made_without_structlog(logged):
    bind = "structlog.contextvars.bind_contextvars(only_structlog='knows')"
    by_structlog, directly = logged(f"{LINES_OF_REQUESTS}{bind}\nboth('request.served', **{TOLD})")
    assert by_structlog.pop("only_structlog") == "knows"
    assert by_structlog | {"at": ""} == directly | {"at": ""}


def test_r65_without_ids_structlog_makes_the_line_of_a_request(logged):
    import_it = "from chassis.telemetry.logs import REQUEST_LINES"
    [line] = logged(f"{import_it}\nREQUEST_LINES.write('request.served', **{TOLD})")
    assert line | {"at": ""} == TOLD | {"event": "request.served", "level": "info", "service": "sample", "at": ""}


def test_r65_the_line_of_a_request_is_for_people_where_all_are():
    text = written(f"{LINES_OF_REQUESTS}both('request.served', **{TOLD})", form="console")
    by_structlog, line = re.sub(r"at=\S+", "", text).splitlines()
    assert line == by_structlog
    assert "status=200" in line


def test_r65_the_line_of_a_request_is_of_level_info():
    assert written(f"{LINES_OF_REQUESTS}both('request.served', **{TOLD})", level="WARNING") == ""


def test_r65_who_catches_lines_catches_those_of_requests(logged):
    body = (
        f"{LINES_OF_REQUESTS}with structlog.testing.capture_logs() as caught:\n"
        f"    both('request.served', **{TOLD})\n"
        "log.info('caught', lines=caught)\n"
        f"REQUEST_LINES.write('request.served', **{TOLD})"
    )
    told, written_again = logged(body)
    assert told["lines"] == [TOLD | {"event": "request.served", "log_level": "info"}] * 2
    assert written_again["event"] == "request.served"


LINES_OF_MESSAGES = """
from chassis.telemetry.logs import REQUEST_LINES
def both(rows):
    for row in rows:
        log.info("message.settled", **row)
    REQUEST_LINES.write_all("message.settled", rows)
"""
SETTLED = [
    {"request_id": "r-1", "type": "thing.made.v1", "outcome": "handled"},
    {"request_id": "ann.smith@example.com", "type": '/"\\\n\u2028ünïcödé', "outcome": "duplicate"},
]


def test_r65_the_lines_of_messages_are_what_structlog_makes_of_them(logged):
    lines = logged(f"{LINES_OF_MESSAGES}both({SETTLED!r})")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", line.pop("at")) for line in lines)
    assert lines[2:] == lines[:2]
    assert [line["request_id"] for line in lines[2:]] == ["r-1", "***@example.com"]
    assert lines[2] == SETTLED[0] | {"event": "message.settled", "level": "info", "service": "sample"}


def test_r65_the_lines_of_messages_are_made_without_structlog_and_caught_with_it(logged):
    bind = "structlog.contextvars.bind_contextvars(only_structlog='knows')"
    lines = logged(f"{LINES_OF_MESSAGES}{bind}\nboth({SETTLED!r})")
    assert ["only_structlog" in line for line in lines] == [True, True, False, False]
    catching = f"with structlog.testing.capture_logs() as caught: both({SETTLED!r})\nlog.info('caught', lines=caught)"
    [told] = logged(f"{LINES_OF_MESSAGES}{catching}")
    assert [line["outcome"] for line in told["lines"]] == ["handled", "duplicate"] * 2


def test_r65_line_ends_stay_within_the_line(logged):
    [line] = logged(r'log.info("thing.made", text="a\r\n{}\x1b[31m\u2028")')
    assert line["text"] == "a\r\n{}\x1b[31m\u2028"


def test_r65_values_whose_name_says_secret_are_not_written(logged):
    names = (
        "password",
        "new_password",
        "Authorization",
        "cookie",
        "refresh_token",
        "ticket",
        "client_secret",
        "api_key",
    )
    [line] = logged(f'log.info("x", **{{name: "hunter2" for name in {names}}}, token_type="Bearer", token_id="t-1")')
    assert {name: line[name] for name in names} == dict.fromkeys(names, "[redacted]")
    assert (line["token_type"], line["token_id"]) == ("Bearer", "t-1")


def test_r65_the_local_part_of_an_address_is_not_written(logged):
    [line] = logged('log.info("mail to ann.smith+x@example.com", to="<bob@mail.example.org>", at_sign="a @ b")')
    assert line["event"] == "mail to ***@example.com"
    assert line["to"] == "<***@mail.example.org>"
    assert line["at_sign"] == "a @ b"


def test_r65_nested_values_and_exceptions_are_redacted_too(logged):
    nested, crash = logged(
        'log.info("x", request={"headers": [{"authorization": "Bearer hunter2"}, ("to", "ann@example.com")]})\n'
        'try:\n    raise ValueError("login of ann@example.com")\nexcept ValueError:\n    log.exception("y")'
    )
    assert nested["request"] == {"headers": [{"authorization": "[redacted]"}, ["to", "***@example.com"]]}
    assert crash["exception"].endswith("ValueError: login of ***@example.com")


def test_r65_an_exception_is_within_its_line(logged):
    [line] = logged('try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception("x")')
    assert line["level"] == "error"
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


CRASH = """
def crash(value):
    copy = "".join(value)
    raise ValueError("login of ann@example.com")
try:
    crash(["hunt", "er2"])
except ValueError:
    log.exception("ours")
    logging.getLogger("lib").exception("theirs")
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_r65_a_traceback_shows_no_local_variables(form):
    text = written(CRASH, form=form)
    assert text.count("ValueError: login of ***@example.com") == 2
    assert text.count("in crash") == 2
    assert "hunter2" not in text


def test_r65_libraries_write_the_same_lines_from_warnings_on(logged):
    body = 'logging.getLogger("lib").info("quiet"); logging.getLogger("lib").warning("loud from ann@example.com")'
    [line] = logged(body)
    assert (line["event"], line["level"], line["service"]) == ("loud from ***@example.com", "warning", "sample")


def test_a_log_that_can_t_be_written_ends_nothing():
    """/dev/full takes nothing, as a full disk does."""
    body = 'for _ in range(3):\n    log.info("x", text="y" * 10_000)\n    logging.warning("x")\nprint("went on")'
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", PROGRAM.format(body=body, level="INFO", form="json")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, timeout=30, check=False)
    assert done.stdout == "went on\n"


def test_the_level_counts(logged):
    lines = logged('log.debug("a"); log.info("b"); log.warning("c")', level="WARNING")
    assert [line["event"] for line in lines] == ["c"]
    assert [line["event"] for line in logged('log.debug("a")', level="DEBUG")] == ["a"]


@pytest.mark.parametrize(
    ("environment", "configured"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_spans_are_exported_only_where_the_environment_says_where_to(monkeypatch, environment, configured):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracing_configured() is configured


def test_without_configuration_no_span_is_recorded(logged):
    body = 'log.info("x", recording=trace.get_tracer("t").start_span("s").is_recording())'
    [line] = logged(body)
    assert line["recording"] is False


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (TRACEPARENT, True),
        (None, False),
        ("", False),
        (TRACEPARENT.upper(), False),
        (TRACEPARENT + "\n", False),
        (TRACEPARENT + "-x", False),
        ("ff" + TRACEPARENT[2:], False),
        ("00-" + "0" * 32 + TRACEPARENT[35:], False),
        (TRACEPARENT[:36] + "0" * 16 + "-01", False),
    ],
)
def test_a_traceparent_that_is_none_is_not_taken_over(value, valid):
    assert valid_traceparent(value) == (value if valid else None)


def test_a_new_traceparent_is_one():
    assert valid_traceparent(new_traceparent()) is not None
