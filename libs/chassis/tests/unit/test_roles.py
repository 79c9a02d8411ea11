"""The roles of an API: what it is made of is imported when one of them is run."""

import json
import sys

import pytest
from chassis.roles import api_roles, run_role

API = """
def run_api(arguments):
    return 40 + len(arguments)

def openapi_document():
    return {"paths": {"/b": {}, "/a": {}}}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that somebody's API is in."""
    (tmp_path / "api_of_somebody.py").write_text(API, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "api_of_somebody"
    sys.modules.pop("api_of_somebody", None)


def test_an_api_is_imported_when_it_is_run(module):
    roles = api_roles(module)
    assert module not in sys.modules
    assert run_role("somebody", roles, ["api", "one", "two"]) == 42
    assert module in sys.modules


def test_its_document_is_printed_in_order(module, capfd):
    assert run_role("somebody", api_roles(module), ["openapi"]) == 0
    printed = capfd.readouterr().out
    assert json.loads(printed) == {"paths": {"/a": {}, "/b": {}}}
    assert printed.index("/a") < printed.index("/b")
