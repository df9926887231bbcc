"""A tenant at full load, in a process of its own: many calls of some kinds at once.

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

Ask = Callable[[], Awaitable[int]]
"""One call, which returns the bytes of its answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked for again and again."""

    method: str
    """`KV/Put`."""
    request: Any
    """A message of etcd's."""
    streams: bool = False
    """Whether it is over with the first message of the answer."""
    refusal: grpc.StatusCode | None = None
    """With what the core answers it, if not well."""

    @property
    def path(self) -> str:
        return f"/etcdserverpb.{self.method}"


def kinds(prefix: str) -> dict[str, Kind]:
    """Return all that a tenant can do, by name, with its keys below `prefix`."""
    small, big = f"{prefix}small".encode(), f"{prefix}big".encode()
    put = MESSAGES["PutRequest"](key=small, value=b"x" * 1024)
    listing = MESSAGES["RangeRequest"](key=big + b"/", range_end=big + b"0")
    # One that does not exist is agreed on by the core's members all the same.
    revoke = MESSAGES["LeaseRevokeRequest"](ID=7)
    # Nothing has ever changed that key, which the core finds out by reading all changes.
    past = {"key": prefix.encode() + b"never", "start_revision": 1}
    watch = MESSAGES["WatchRequest"](create_request=past)
    return {
        "puts": Kind("KV/Put", put),
        "lists": Kind("KV/Range", listing),
        "revokes": Kind("Lease/LeaseRevoke", revoke, refusal=grpc.StatusCode.NOT_FOUND),
        "watches": Kind("Watch/Watch", watch, streams=True),
    }


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do."""

    targets: tuple[str, ...]
    """`host:port` of the pods, in the clear."""
    prefix: str
    """Under which to write, and below `big/` of it to read."""
    connections: int
    """To each target."""
    load: dict[str, int]
    """How many calls are under way at any time, by their kind."""


@dataclass(slots=True)
class Done:
    """What was done."""

    calls: dict[str, int] = field(default_factory=dict)
    """By kind."""
    bytes: int = 0
    """In the answers."""
    failures: dict[str, int] = field(default_factory=dict)
    """How many calls ended with each of gRPC's codes."""


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
    known = kinds(plan.prefix)
    for name, count in plan.load.items():
        asks = [_ask(channel, known[name]) for channel in channels]
        for number in range(count):
            yield _repeat(asks[number % len(asks)], name, done)


def _ask(channel: grpc.aio.Channel, kind: Kind) -> Ask:
    # Without a deserialiser the answer is bytes.
    request = kind.request.SerializeToString()
    unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(kind.path)
    stream: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(kind.path)

    async def once() -> int:
        try:
            return len(await unary(request))
        except grpc.aio.AioRpcError as error:
            if error.code() != kind.refusal:
                raise
            return 0

    async def begin() -> int:
        call = stream()
        try:
            await call.write(request)
            answer = await call.read()
            return len(answer) if isinstance(answer, bytes) else 0
        finally:
            call.cancel()

    return begin if kind.streams else once


async def _repeat(ask: Ask, kind: str, done: Done) -> None:
    while True:
        try:
            size = await ask()
            done.bytes += size
            done.calls[kind] = done.calls.get(kind, 0) + 1
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            done.failures[code] = done.failures.get(code, 0) + 1
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
