"""Every bound of the gate, with its source or reason. Durations are in seconds, sizes in bytes.

They bound what one tenant takes from the core and from the node, far above what an API server
needs; what is over a bound is answered with Unavailable, which etcd's clients try again unless
it is a write of a key.
"""

from typing import Final

CONNECTIONS: Final = 1024
"""Of clients, at once. An API server opens one or two per resource it stores."""
ALL_CONNECTIONS: Final = 4096
"""The same with grpc-proxy, the kubelet and the scraper, who so have room of their own."""
STREAMS: Final = 1024
"""At once on a client's connection. All watches of an etcd client share one stream."""
REQUESTS: Final = 4096
"""At once towards the core, open watches among them. Envoy's default is 1,024."""
RETRIES: Final = 32
"""At once; only a core member that is going away causes any. More than WRITES and READS."""
UPSTREAM_CONNECTIONS: Final = 64
"""Of one gate to the core. One per member and worker carries everything."""

WRITES: Final = 16
"""Calls that change keys or leases, at once towards the core; the others wait. The core writes
what waits for the disk together, so more make a tenant's own writes little faster, and
everybody's slower: 512 of one tenant's and 32 lists of 10 MB made another's p99 twentyfold."""
READS: Final = 4
"""Calls that only read, the same. The core holds each answer as a whole: with what transactions
may read, these bound its memory."""
WAITING: Final = 2048
"""Of each of the two kinds, in the gate: three API servers with 600 requests each, the most that
they take, fit one pod."""
LISTED_KIB: Final = 32 << 10
"""KiB a second of the answers to one kind of call that lists, after as much at once: what an API
server lists passes at full speed, and one that lists without end leaves the core its breath."""
STREAMED_KIB: Final = 128
"""KiB a second of what is said on all watches, and the same of all keep-alives, after as much at
once: a thousand new watches. These do not wait for a turn, and the core works on whatever comes:
290,000 questions a second for progress made others' writes take 47 ms instead of 2."""
WATCH_STREAMS: Final = 1024
"""Of a pod, at once, as many as CONNECTIONS: an etcd client has one. The core takes 46 kB for each
that is open, so 47 MB."""
STREAM_WATCHES: Final = 2048
"""That a stream creates in its life; its client then opens another and resumes there those that
it still wants. All of an API server's are as many as it stores resources: some hundreds."""
WATCHES: Final = 16_384
"""The same of all streams of a pod that are open. The core takes 2.3 kB for each: so 38 MB, where
two streams alone took 620 MB in 30 s."""
WATCH_BYTES: Final = 256
"""Of a request for a watch, which the core keeps: a larger one counts for several."""

HEADER_KIB: Final = 16
"""All headers of a request. Those of etcd's clients are under 1 KiB."""
STREAM_WINDOW: Final = 1 << 20
"""HTTP/2 flow control of one stream: what one stalled reader makes us hold."""
CONNECTION_WINDOW: Final = 32 << 20
"""The same of a connection. One connection to the core carries all watches and lists, so one
that is not read must leave room for many others."""
CONNECTION_BUFFER: Final = 1 << 20
"""Bytes held for a connection before its peer is slowed down."""

MEMORY_LIMIT_MIB: Final = 256
"""For the container: 65 MiB of program, of which 50 are shared between the gates of a node,
and the heap."""
HEAP: Final = 160 << 20
"""Of which nearly all is used before new requests are refused. A list of 54 MiB took 45 MiB."""

CONNECT: Final = 2
"""For one attempt to connect; the next member is tried then."""
UPSTREAM_KEEPALIVE: Final = 10
"""Between pings to the core. etcd ends a connection that pings more often than each 5 s
(--grpc-keepalive-min-time). What waits for a member that has stopped takes up WRITES and READS,
and so is given up soon; how the member does otherwise is for the health checks."""
UPSTREAM_KEEPALIVE_TIMEOUT: Final = 10
"""For a ping's answer; API servers' own towards etcd."""
UPSTREAM_IDLE: Final = 25
"""A connection to the core without a stream is closed before its third ping, because etcd
allows no pings without a stream and ends such a connection with the third."""
DOWNSTREAM_KEEPALIVE: Final = 60
"""Between pings to clients, so that the connections of a node that died are given back."""
DOWNSTREAM_KEEPALIVE_TIMEOUT: Final = 20
"""For a ping's answer; etcd's own default."""

HANDSHAKE: Final = 5
"""For a client to finish its handshake, which takes 1 ms: until then it is nobody, and takes up
one of CONNECTIONS."""
LIFE: Final = 600
"""After this a client's connection takes no new streams, so that clients spread over new pods
again, and one that is not let in any more calls no longer. A handshake takes 1 ms."""
STREAM_LIFE: Final = 1380
"""With mutual TLS a watch or keep-alive ends after this, and an etcd client opens it anew where it
was: with `LIFE` before it, 33 minutes are how long one that is not let in any more may still see
changes. A watch that is quiet hears every 10 to 11 minutes where it is, counted for its stream
(etcd's --watch-progress-notify-interval), so it ends soon after the second time: where it was has
hardly been compacted since. A shorter one would never hear it."""
STREAM_IDLE: Final = 30
"""Of a request that is not a watch or a lease's keep-alive: who reads nothing for so long makes
room for who waits. etcd itself ends one after 7 s."""
DRAIN_GRACE: Final = 2
"""Between the first notice that a connection ends and its end, in which requests that crossed
the notice are still served: one slow round trip."""
DRAIN_SECONDS: Final = 10
"""Before the pod is told to end. In it Services forget the pod, and every connection gets its
notice: with the next answer, and those that have none in the last third."""

DNS_REFRESH: Final = 30
"""Between look-ups of the core's names: one per second for 30 pods."""
EJECTION: Final = 10
"""How long a core member that cannot be reached is left out, times the number of times."""

HEALTH_INTERVAL: Final = 10
"""Between two reads of each member of the core, and in mode Proxy of the core through grpc-proxy:
1,000 storages with 2 pods cost each member 200 reads per second, and the core 200 more."""
HEALTH_INTERVAL_UNHEALTHY: Final = 2
"""The same while they fail, so that a mended member is seen soon."""
HEALTH_TIMEOUT: Final = 3
"""For such a read. A member that misses one is left out until it answers the next, if others are
well; a pod's endpoint is not taken away for that, see its readiness probe."""
HEALTH_INTERVAL_START: Final = 0.25
"""Between two checks in mode Proxy until grpc-proxy has been connected to for the first time;
none of these leaves the pod."""

LEASE_TTL: Final = 172_800
"""Seconds, two days. API servers grant an hour for events, OAuth servers a day for tokens; etcd
itself takes 285 years, and keeps each in memory that long."""
LEASE_GRANTS_PER_SECOND: Final = 2
"""For a pod, on the average. An API server grants one per resource and minute, or 1,000
objects with a time to live."""
LEASE_GRANTS_BURST: Final = 120
"""For an API server that starts, or many bare clients at once."""
LEASE_GRANT_BYTES: Final = 1024
"""Of a request to grant a lease that are held to be looked at; a lawful one has at most 9."""

TXN_BYTES: Final = (2 << 20) + 5
"""Of a transaction that are held to be looked at: what etcd reads of a request
(--max-request-bytes, 1.5 MiB, and 512 KiB for gRPC), and the frame around it."""
TXN_FIELDS: Final = 4096
"""Of its comparisons, operations and Ranges. etcd takes 128 of each of its lists, which have five
fields or fewer each (--max-txn-ops)."""
TXN_READS: Final = 16
"""Ranges of both branches. An API server reads one key, where what it compares has changed."""
TXN_LISTS: Final = 2
"""Of these and of the comparisons, over several keys. etcd's own mutex has one in each branch."""
