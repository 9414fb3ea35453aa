"""Workloads on streams: lease keep-alive, put to watch latency, fan-out to many watchers.

A fan-out operation is one event that reached one watcher; the next put goes out when all have the last one, so that its
latency is the time until the slowest had it.
"""

import random
from collections.abc import Callable, Sequence

from kvstore.pb import rpc_pb2 as pb
from kvstore.testing.load.spec import LoadSpec, Recorder
from kvstore.testing.load.wire import Call, Connection
from kvstore.testing.load.workloads import LEASE_GRANT, PUT

WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
WATCHED = b"bench-watched"


class KeepAlives:
    """One lease and one keep-alive stream a client; the next message goes when the last is answered."""

    def __init__(
        self, connection: Connection, spec: LoadSpec, recorder: Recorder, rng: random.Random
    ) -> None:
        self._connection, self._recorder = connection, recorder
        self._call: Call | None = None
        self._message = b""
        self._begun = 0.0

    def start(self) -> None:
        """Grant the lease, then begin."""
        grant = pb.LeaseGrantRequest(TTL=600).SerializeToString()
        self._connection.call(LEASE_GRANT, grant, self._granted, self._failed)

    def _granted(self, reply: bytes) -> None:
        lease = pb.LeaseGrantResponse.FromString(reply).ID
        self._message = pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()
        self._begun = self._recorder.now()
        self._call = self._connection.call(
            KEEP_ALIVE, self._message, self._renewed, self._failed, half_close=False
        )

    def _renewed(self, reply: bytes) -> None:
        ttl = pb.LeaseKeepAliveResponse.FromString(reply).TTL
        self._recorder.ended(self._begun, "" if ttl > 0 else "the lease is gone")
        if self._recorder.is_running and self._call is not None:
            self._begun = self._recorder.now()
            self._connection.send(self._call, self._message)

    def _failed(self, status: int) -> None:
        if status != 0:
            self._recorder.ended(self._begun, f"stream ended with status {status}")


class FanOut:
    """`spec.clients` watchers of one key, `watches_per_stream` on each stream, and one writer."""

    def __init__(
        self,
        connections: Sequence[Connection],
        spec: LoadSpec,
        recorder: Recorder,
        watches_per_stream: int,
    ) -> None:
        self._connections, self._recorder = connections, recorder
        self._per_stream = watches_per_stream
        self._wanted = spec.clients
        self._missing_created = self._wanted
        self._missing = 0
        self._begun = 0.0
        self._put = pb.PutRequest(key=WATCHED, value=b"v" * spec.value_size).SerializeToString()
        self._create = pb.WatchRequest(
            create_request=pb.WatchCreateRequest(key=WATCHED)
        ).SerializeToString()

    def start(self) -> None:
        """Open all watches; the first put follows when the last is confirmed."""
        for number in range(self._wanted // self._per_stream):
            connection = self._connections[number % len(self._connections)]
            receive = self._receiver()
            call = connection.call(WATCH, self._create, receive, self._failed, half_close=False)
            for _ in range(self._per_stream - 1):
                connection.send(call, self._create)

    def _receiver(self) -> Callable[[bytes], None]:
        cache: dict[bytes, int] = {}

        def receive(reply: bytes) -> None:
            if self._missing_created:
                self._created(reply)
                return
            # Replies of one revision differ only by their watch id; ids are small, so lengths tell events from others.
            events = cache.get(reply)
            if events is None:
                events = len(pb.WatchResponse.FromString(reply).events)
                if len(cache) > 64:
                    cache.clear()
                cache[reply] = events
            self._missing -= events
            if self._missing <= 0 and events:
                self._recorder.ended(self._begun, "", weight=self._wanted)
                self._write()

        return receive

    def _created(self, reply: bytes) -> None:
        if pb.WatchResponse.FromString(reply).created:
            self._missing_created -= 1
            if not self._missing_created:
                self._write()

    def _write(self) -> None:
        if self._recorder.is_running:
            self._missing = self._wanted
            self._begun = self._recorder.now()
            self._connections[0].call(PUT, self._put, _ignore, self._failed)

    def _failed(self, status: int) -> None:
        if status != 0:
            self._recorder.ended(self._begun, f"a call ended with status {status}")


def _ignore(_: bytes) -> None:
    pass


WATCHES_PER_STREAM = {"watch-latency": 1, "fan-out-streams": 1, "fan-out-watches": 100}
"""Workloads of `FanOut`."""
