"""Ports that a copy chooses: nobody's, and no other copy's, though some seconds go by until somebody listens there."""

import json
import subprocess
import sys
from contextlib import ExitStack

from taskloom_cli.ports import CHOSEN_FROM, free_ports

CHOOSING = """
import json
from taskloom_cli.ports import free_ports
print(json.dumps(free_ports(400)), flush=True)
input()
"""


def test_copies_that_start_at_once_choose_different_ports():
    with ExitStack() as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        copies = [stack.enter_context(subprocess.Popen([sys.executable, "-c", CHOOSING], **pipes)) for _ in range(3)]
        chosen = [port for copy in copies for port in json.loads(copy.stdout.readline())]
        for copy in copies:
            copy.stdin.write("\n")
            copy.stdin.flush()
    assert len(set(chosen)) == len(chosen) == 1200
    assert set(chosen) <= set(CHOSEN_FROM)


def test_one_that_is_wanted_for_something_else_is_not_chosen():
    chosen = free_ports(20)
    assert set(free_ports(20, besides=chosen[0])).isdisjoint(chosen)
