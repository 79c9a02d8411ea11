"""Kills what runs, again and again, while people write and read, and counts what was lost and what was done twice.

    .venv/bin/python tests/chaos/run.py --kills 50 --every 10 --rate 60 --seed 7

Ends with 1 when a change that was acknowledged is without one of its effects, or has one twice.
"""

import argparse
import asyncio
import json
import random
import secrets
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack

import httpx2
from ledger import Ledger
from people import Door
from stack import BROKER, prepared_stack
from testkit.readers import FeedReader, HookReceiver, SocketReader, StreamReader
from writers import Writers

VICTIMS = (
    "tasks-relay",
    "notifications-worker",
    "notifications",
    "notifications-relay",
    "notifications-scheduler",
    "gateway",
    BROKER,
)
PEOPLE = 4
CALM_SECONDS = 2.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--every", type=float, default=8.0, help="seconds from one kill to the next")
    parser.add_argument("--rate", type=float, default=60.0, help="changes a second")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--victims", default=",".join(VICTIMS), help="what is killed, joined by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    return parser.parse_args()


def victims_of(options):
    """Return whom to kill, in order: each as often as the others, as far as that goes."""
    chosen = options.victims.split(",")
    order = [chosen[number % len(chosen)] for number in range(options.kills)]
    random.Random(options.seed).shuffle(order)
    return order


async def run(options, prepared):
    order = victims_of(options)
    say(options, f"seed {options.seed}: {', '.join(order)}")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(prepared.running())
        door = Door(running.url, running.mail_url)
        stack.push_async_callback(door.close)
        people = [await door.sign_up() for _ in range(PEOPLE)]
        workspace, project = await door.workspace_of(*people)
        say(options, f"ready; logs: {running.folder.logs}")
        readers, feeds, receiver = await reading(stack, running, door, people, workspace)
        writers = Writers(running.url, project, people, options.rate, random.Random(options.seed))
        ledger = Ledger(running, workspace, writers, readers, feeds, receiver, owner=people[0].id)
        await asyncio.sleep(CALM_SECONDS)
        await ledger.begin()
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=60, trust_env=False))
        for feed in feeds.values():
            await feed.read_on(client)
            feed.events.clear()
        stop = asyncio.Event()
        started = time.monotonic()
        writing = asyncio.create_task(writers.run(stop))
        for number, victim in enumerate(order):
            await asyncio.sleep(options.every)
            at = f"{time.monotonic() - started:6.1f} s  {number + 1:2}"
            written = f"{len(writers.acknowledged)} acknowledged, {writers.under_way} under way"
            say(options, f"{at}  kill -9 {victim:24} ({written})")
            await running.kill(victim)
        await asyncio.sleep(options.every)
        stop.set()
        await writing
        seconds = time.monotonic() - started
        say(options, f"{seconds:6.1f} s  nobody writes any more; waiting for what is under way")
        await running.until_ready()
        effects = await ledger.settled(client)
        running.count_cpu(*running.processes)
        return report(options, order, running, writers, readers, effects, seconds)


async def reading(stack, running, door, people, workspace):
    """Let everybody read in every way, and return the readers of streams, feeds, and the receiver of the first one."""
    readers, feeds = {}, {}
    for person in people:
        headers = dict(person.headers)
        for channel, kind in (("websocket", SocketReader), ("sse", StreamReader)):
            reader = kind(running.url, lambda headers=headers: headers)
            readers[channel, person.id] = await stack.enter_async_context(reader.reading())
        phone = {"kind": "fcm", "token": f"chaos-{secrets.token_hex(16)}", "name": "Phone"}
        (await door.client.post("/devices", json=phone, headers=person.headers)).raise_for_status()
        feeds[person.id] = FeedReader(running.url, lambda headers=headers: headers)
    receiver = await stack.enter_async_context(HookReceiver().listening())
    hook = {"url": receiver.url, "name": "Chaos", "scope": {"type": "workspace", "id": workspace}}
    (await door.client.post("/webhooks", json=hook, headers=people[0].headers)).raise_for_status()
    return readers, feeds, receiver


def report(options, order, running, writers, readers, effects, seconds):
    """Print what was counted, and return the exit code."""
    lost = sum(len(one.missing) for one in effects)
    twice = sum(len(one.twice) for one in effects)
    reconnected = sum(reader.connections - 1 for reader in readers.values())
    summary = {
        "seed": options.seed,
        "kills": dict(Counter(order)),
        "seconds": round(seconds, 1),
        "acknowledged": len(writers.acknowledged),
        "per_second": round(len(writers.acknowledged) / seconds, 1),
        "tries": writers.tries,
        "refused": writers.refused[:5],
        "given_up": writers.given_up,
        "troubles": dict(writers.troubles),
        "latest_start_seconds": round(writers.lateness, 2),
        "reconnections": reconnected,
        "crashes": running.crashes,
        "cpu_seconds": {name: round(used, 1) for name, used in running.cpu.most_common(8)},
        "without_effect": lost,
        "twice": twice,
        "effects": {
            one.name: {
                "expected": one.expected,
                "missing": len(one.missing),
                "twice": len(one.twice),
                "repeated": one.repeated,
                "examples": [str(shown) for shown in (*one.missing[:3], *one.twice[:3])],
            }
            for one in effects
        },
    }
    if options.json:
        print(json.dumps(summary))
    else:
        show(summary)
    return 1 if lost or twice or writers.given_up or writers.refused or running.crashes else 0


def show(summary):
    for name, value in summary.items():
        if name != "effects":
            print(f"{name:22} {value}")
    print(f"\n{'effect':22}{'expected':>10}{'missing':>9}{'twice':>7}{'repeated':>10}")
    for name, one in summary["effects"].items():
        print(f"{name:22}{one['expected']:>10}{one['missing']:>9}{one['twice']:>7}{one['repeated']:>10}")
        for example in one["examples"]:
            print(f"    {example}")


def say(options, line):
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)


def main():
    options = arguments()
    with prepared_stack() as prepared:
        return asyncio.run(run(options, prepared))


if __name__ == "__main__":
    sys.exit(main())
