import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, replace

import grpc

from hack.bench.dataplane.noise import Done, Plan, kinds, make
from tests.support.eventually import eventually
from tests.support.keyvalueserver import KeyValueServer, serving


def plan_for(server: KeyValueServer) -> Plan:
    target = server.url.removeprefix("http://")
    return Plan((target,), "/noisy/", connections=2, load={"puts": 3, "lists": 2})


def make_until(plan: Plan, enough: int) -> Done:
    """Make the noise until so many calls have ended."""

    async def run() -> Done:
        done, over = Done(), asyncio.Event()
        noise = asyncio.create_task(make(plan, done, over))
        while sum(done.calls.values()) + sum(done.failures.values()) < enough:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        over.set()
        await noise
        return done

    return asyncio.run(run())


def test_it_puts_and_lists_until_it_is_over() -> None:
    with serving() as server:
        server.keys = {b"/noisy/big/1": b"x" * 5000, b"/noisy/big0": b"not in it"}
        done = make_until(plan_for(server), 40)
        assert server.keys[b"/noisy/small"] == b"x" * 1024
    assert done.calls["puts"] > 0
    lists = done.calls["lists"]
    # An empty message answers a put.
    assert 5000 * lists < done.bytes < 5100 * lists
    assert done.failures == {}


def test_a_revoke_is_done_when_there_is_no_lease_and_a_watch_when_it_is_there() -> None:
    with serving() as server:
        plan = replace(plan_for(server), load={"revokes": 2, "watches": 2})
        done = make_until(plan, 20)
    assert done.failures == {}
    assert set(done.calls) == {"revokes", "watches"}
    assert done.bytes == len(b"created") * done.calls["watches"]


def test_refusals_are_counted_and_tried_again() -> None:
    with serving() as server:
        server.refusal = grpc.StatusCode.UNAVAILABLE
        # Seven are more than the five calls that are under way.
        done = make_until(plan_for(server), 7)
    assert done.failures["UNAVAILABLE"] >= 7
    assert done.calls == {}


def test_in_mode_proxy_keys_have_no_prefix() -> None:
    found = {name: kind.request for name, kind in kinds("").items()}
    assert found["puts"].key == b"small"
    assert (found["lists"].key, found["lists"].range_end) == (b"big/", b"big0")
    assert found["watches"].create_request.key == b"never"


def test_the_program_ends_with_its_input_and_tells_what_it_did() -> None:
    with serving() as server:
        command = [sys.executable, "-m", "hack.bench.dataplane.noise"]
        with subprocess.Popen(
            [*command, json.dumps(asdict(plan_for(server)))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            # More than are under way at a time: one at least was answered. It lets all other
            # programs of the machine go first.
            eventually(lambda: server.calls > 5, within=90)
            output = process.communicate()[0]
    done = Done(**json.loads(output))
    assert sum(done.calls.values()) > 0
