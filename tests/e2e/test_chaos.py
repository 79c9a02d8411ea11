"""R63, J3: whatever is killed at whatever moment, nothing that was acknowledged is lost, and nothing is done twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from testkit.rabbitmq import PROGRAM

RUN = Path(__file__).parents[1] / "chaos" / "run.py"


def test_r63_six_kills_in_the_midst_of_writing_lose_nothing_and_do_nothing_twice():
    """The short form of `make chaos`."""
    if PROGRAM.find_or_install() is None:
        pytest.skip("NO RABBITMQ: install rabbitmq-server (as root on Debian it is installed)")
    command = [sys.executable, RUN, "--kills", "6", "--every", "3", "--rate", "10", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout, done.stderr[-3000:]
    counted = json.loads(done.stdout)
    lost = {name: one for name, one in counted["effects"].items() if one["missing"] or one["twice"]}
    assert lost == {}, counted["seed"]
    assert (counted["refused"], counted["given_up"], counted["crashes"]) == ([], 0, [])
    assert counted["acknowledged"] >= 30
    assert done.returncode == 0
