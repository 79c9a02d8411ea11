"""The guard of forgotten operations, in runs of pytest of their own: alone and on several workers."""

import os
import subprocess
import sys

import pytest
from testkit.contract import Contract

CONFTEST = """
from pathlib import Path

import httpx2
import pytest
from testkit.contract import Contract, contract_client

def operation(name):
    return {"operationId": name, "responses": {"204": {"description": "Done."}}}

DOCUMENT = {"paths": {
    "/api/v1/things": {"get": operation("list_things"), "post": operation("create_thing")},
    "/api/v1/things/{thing_id}": {"delete": operation("delete_thing")},
}}

@pytest.fixture(scope="session")
def contract():
    return Contract(DOCUMENT, tests=Path(__file__).parent)

@pytest.fixture
async def api(contract):
    transport = httpx2.MockTransport(lambda request: httpx2.Response(204))
    async with contract_client(contract, transport=transport, base_url="http://things") as client:
        yield client
"""
READING = "async def test_list(api):\n    await api.get('/api/v1/things')\n"
WRITING = "async def test_create(api):\n    await api.post('/api/v1/things')\n"
DELETING = "async def test_delete(api):\n    await api.delete('/api/v1/things/1')\n"
UNRELATED = "def test_something_else():\n    pass\n"
FAILING = "def test_that_fails():\n    raise ValueError\n"
SECTION = "operations that no test exercised"
TWO_WORKERS = ("-n", "2", "--dist", "loadfile")


@pytest.fixture
def run(tmp_path):
    """Runs pytest over a service with these files of tests; returns its exit code and output."""

    # Only the plugins that this is about: loading the others takes longer than the runs.
    plugins = ["-p", "testkit.plugin", "-p", "pytest_asyncio.plugin", "-p", "xdist.plugin"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def run(files, *arguments):
        tests = tmp_path / "service" / "tests"
        tests.mkdir(parents=True)
        (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\naddopts = -p no:cacheprovider\n")
        (tests / "conftest.py").write_text(CONFTEST)
        for name, content in files.items():
            (tests / name).write_text(content)
        command = [sys.executable, "-m", "pytest", *plugins, *(arguments or ["service"])]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_two_workers_that_exercise_everything_between_them_pass(run):
    code, output = run({"test_a.py": READING + DELETING, "test_b.py": WRITING}, "service", *TWO_WORKERS)
    assert (code, SECTION in output) == (0, False), output


def test_two_workers_that_forget_an_operation_fail_the_run_and_name_it(run):
    code, output = run({"test_a.py": READING, "test_b.py": WRITING}, "service", *TWO_WORKERS)
    assert (code, SECTION in output) == (1, True), output
    assert "service/tests: delete_thing\n" in output
    assert "2 passed" in output


def test_a_run_without_workers_that_forgets_operations_fails_and_names_all(run):
    code, output = run({"test_a.py": READING}, "service/tests")
    assert code == 1
    assert "service/tests: create_thing, delete_thing\n" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ("service/tests/test_a.py",),
        ("service/tests/test_a.py::test_list",),
        ("service", "-k", "list"),
        ("service", "--deselect", "service/tests/test_b.py::test_something_else"),
        ("service", "--ignore", "service/tests/test_b.py"),
        ("service", *TWO_WORKERS, "-k", "list"),
    ],
    ids=" ".join,
)
def test_a_run_of_a_part_is_not_judged(run, arguments):
    code, output = run({"test_a.py": READING, "test_b.py": UNRELATED}, *arguments)
    assert (code, SECTION in output) == (0, False), output


def test_a_run_that_fails_anyway_is_not_judged(run):
    code, output = run({"test_a.py": READING + FAILING})
    assert (code, SECTION in output) == (1, False), output


def test_what_else_was_named_has_to_be_exercised_too():
    contract = Contract({"paths": {}}, also=["thing.created.v1"])
    assert contract.operations == {"thing.created.v1"}
