"""A tenant at full load, in a process of its own: many puts and many big lists at once.

It runs until its standard input ends, and prints what it did as a line of JSON. Its clients would
be on other machines, so it takes only what processor time nobody else wants.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc

from hack.dataplane.keyvalue import MESSAGES

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    # Or else all channels to one target share one connection.
    ("grpc.use_local_subchannel_pool", 1),
)
_BACKOFF = 0.025
"""Seconds, as etcd's Go client waits before it repeats what was Unavailable."""

_LOWEST = 19
"""Of priorities."""

Call = Callable[..., Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do."""

    targets: tuple[str, ...]
    """`host:port` of the pods, in the clear."""
    prefix: str
    """Under which to write, and below `big/` of it to read."""
    connections: int
    """To each target."""
    puts: int
    lists: int
    """How many of each are under way at any time."""


@dataclass(slots=True)
class Done:
    """What was done."""

    puts: int = 0
    lists: int = 0
    bytes: int = 0
    """In the answers to lists."""
    failures: dict[str, int] = field(default_factory=dict)
    """How many calls ended with each of gRPC's codes."""


def requests(plan: Plan) -> tuple[bytes, bytes]:
    """Return a put and a big list, serialised."""
    put = MESSAGES["PutRequest"](key=f"{plan.prefix}small".encode(), value=b"x" * 1024)
    start = f"{plan.prefix}big"
    listing = MESSAGES["RangeRequest"](key=f"{start}/".encode(), range_end=f"{start}0".encode())
    return put.SerializeToString(), listing.SerializeToString()


async def make(plan: Plan, done: Done, over: asyncio.Event) -> None:
    """Make the noise until it is over, and count in `done`."""
    channels = [
        grpc.aio.insecure_channel(target, _OPTIONS)
        for target in plan.targets
        for _ in range(plan.connections)
    ]
    async with asyncio.TaskGroup() as group:
        busy = [group.create_task(call) for call in _calls(plan, done, channels)]
        await over.wait()
        for task in busy:
            task.cancel()
    await asyncio.gather(*(channel.close() for channel in channels))


def _calls(
    plan: Plan, done: Done, channels: Sequence[grpc.aio.Channel]
) -> Iterator[Coroutine[Any, Any, None]]:
    """Give one for each that is to be under way, spread over the channels."""

    def written(_: bytes) -> None:
        done.puts += 1

    def listed(answer: bytes) -> None:
        done.lists += 1
        done.bytes += len(answer)

    put, listing = requests(plan)
    kinds = (("Put", put, plan.puts, written), ("Range", listing, plan.lists, listed))
    for method, request, count, note in kinds:
        # Without serialisers the messages are bytes both ways.
        calls: list[Call] = [
            channel.unary_unary(f"/etcdserverpb.KV/{method}") for channel in channels
        ]
        for number in range(count):
            yield _repeat(calls[number % len(calls)], request, note, done.failures)


async def _repeat(
    call: Call, request: bytes, note: Callable[[bytes], None], failures: dict[str, int]
) -> None:
    while True:
        try:
            note(await call(request))
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            failures[code] = failures.get(code, 0) + 1
            await asyncio.sleep(_BACKOFF)


async def until_input_ends(plan: Plan) -> Done:
    """Make it until whoever started us closes our standard input, or dies."""
    done, over = Done(), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    await make(plan, done, over)
    return done


def main(arguments: Sequence[str]) -> None:
    """Take the plan as JSON."""
    os.nice(_LOWEST)
    plan = Plan(**json.loads(arguments[0]))
    print(json.dumps(asdict(asyncio.run(until_input_ends(plan)))))


if __name__ == "__main__":
    main(sys.argv[1:])
