"""One call to two servers: their answers with everything taken out that may differ, and what their watches saw.

Of a header only the revision is compared. A watch is compared by what each of its watchers was told, in order: how
events are cut into answers is left to the server, save that a revision is never cut.
"""

import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from kvstore.base.ports import free_port
from kvstore.pb import rpc_pb2 as pb

RESPONSES = {
    "KV/Range": pb.RangeResponse,
    "KV/Put": pb.PutResponse,
    "KV/DeleteRange": pb.DeleteRangeResponse,
    "KV/Txn": pb.TxnResponse,
    "KV/Compact": pb.CompactionResponse,
    "Lease/LeaseGrant": pb.LeaseGrantResponse,
    "Lease/LeaseRevoke": pb.LeaseRevokeResponse,
    "Lease/LeaseTimeToLive": pb.LeaseTimeToLiveResponse,
    "Lease/LeaseLeases": pb.LeaseLeasesResponse,
}
SECONDS = 20.0


def plain(response: Any) -> Any:
    """`response` without what may differ."""
    header = response.header
    header.cluster_id = header.member_id = header.raft_term = 0
    if isinstance(response, pb.LeaseTimeToLiveResponse):
        # A second may pass between the two, and etcd lists keys in the order of a hash table.
        assert response.grantedTTL >= response.TTL
        response.TTL = -1 if response.TTL < 0 else response.TTL // 1000
        keys = sorted(response.keys)
        del response.keys[:]
        response.keys.extend(keys)
    if isinstance(response, pb.LeaseLeasesResponse):
        ids = sorted(one.ID for one in response.leases)
        del response.leases[:]
        response.leases.extend([pb.LeaseStatus(ID=one) for one in ids])
    return response


class Server:
    """A channel to one server, a watch stream and a keep-alive stream on it."""

    def __init__(self, target: str) -> None:
        self.channel = grpc.insecure_channel(
            target, options=[("grpc.max_receive_message_length", -1)]
        )
        grpc.channel_ready_future(self.channel).result(timeout=30)
        self.calls = {
            name: self.channel.unary_unary(
                f"/etcdserverpb.{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=response.FromString,
            )
            for name, response in RESPONSES.items()
        }
        self.watch = WatchStream(self.channel)
        self._alive: queue.Queue[Any] = queue.Queue()
        self._kept = self.channel.stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.LeaseKeepAliveResponse.FromString,
        )(iter(self._alive.get, None))

    def send(self, calls: Sequence[tuple[str, Any]]) -> list[Any]:
        """Begin all the calls."""
        return [self.calls[name].future(request, timeout=SECONDS) for name, request in calls]

    def keep_alive(self, lease_id: int) -> Any:
        """One more time."""
        self._alive.put(pb.LeaseKeepAliveRequest(ID=lease_id))
        return plain(next(self._kept))

    def close(self) -> None:
        """End streams and channel."""
        self._alive.put(None)
        self.watch.close()
        self.channel.close()


def answer(future: Any) -> Any:
    """The plain response, or code and text of the error."""
    error = future.exception()
    if error is None:
        return plain(future.result())
    return error.code(), error.details()


class WatchStream:
    """A watch stream read by a thread of its own."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._method = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.WatchResponse.FromString,
        )
        self._open()

    def _open(self) -> None:
        self._requests: queue.Queue[Any] = queue.Queue()
        self._call = self._method(iter(self._requests.get, None))
        self.told: dict[int, list[Any]] = {}
        """By watch id: created, cancelled, events, in order."""
        self.fragments: list[tuple[int, int, bool]] = []
        """Of each answer: id, events, whether it goes on."""
        self.created = 0
        self.progress: list[int] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def send(self, **request: Any) -> None:
        """A WatchRequest."""
        self._requests.put(pb.WatchRequest(**request))

    def wait(self, condition: Any, seconds: float = SECONDS) -> bool:
        """Until `condition()` holds; whether it does."""
        with self._changed:
            return self._changed.wait_for(condition, timeout=seconds)

    def heard(self, compacted: set[int]) -> dict[int, list[Any]]:
        """What every watcher was told, but deletions in these revisions."""
        with self._changed:
            return {
                watch_id: [one for one in told if one[0] != 1 or one[1] not in compacted]
                for watch_id, told in self.told.items()
            }

    def reset(self) -> None:
        """Another stream; what the old one heard is forgotten."""
        self.close()
        self._open()

    def close(self) -> None:
        """End it."""
        self._requests.put(None)
        self._call.cancel()
        self._thread.join(timeout=5)

    def _read(self) -> None:
        try:
            for response in self._call:
                with self._changed:
                    self._note(response)
                    self._changed.notify_all()
        except grpc.RpcError:
            pass

    def _note(self, response: pb.WatchResponse) -> None:
        told = self.told.setdefault(response.watch_id, [])
        revision = response.header.revision
        if response.created:
            self.created += 1
            told.append(("created", revision))
        if response.canceled:
            told.append(("canceled", revision, response.compact_revision, response.cancel_reason))
        if not response.created and not response.canceled and not response.events:
            if response.watch_id == -1:
                self.progress.append(revision)
            # Watchers are told now and then by a timer, too: that is not compared.
            return
        if response.events:
            assert revision >= response.events[-1].kv.mod_revision
            self.fragments.append((response.watch_id, len(response.events), response.fragment))
        for event in response.events:
            prev = event.prev_kv.SerializeToString() if event.HasField("prev_kv") else None
            told.append((event.type, event.kv.mod_revision, event.kv.SerializeToString(), prev))


@contextmanager
def running(program: Sequence[str], *flags: str) -> Iterator[str]:
    """A single member of `program`, its data in memory where that can be; where it listens."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        path = Path(name, "log.txt")
        with path.open("wb") as log:
            process = subprocess.Popen(
                [
                    *program,
                    *("--data-dir", f"{name}/data"),
                    *("--listen-client-urls", client, "--advertise-client-urls", client),
                    *("--listen-peer-urls", peer, "--log-level", "error"),
                    *flags,
                ],
                stdout=log,
                stderr=log,
            )
        try:
            yield client.removeprefix("http://")
            assert process.poll() is None, path.read_text()[-3000:]
        finally:
            process.kill()
            process.wait()


def settled(
    ours: Server, theirs: Server, compacted: set[int], trail: object, seconds: float = 3.0
) -> None:
    """Wait until the watches of both were told the same.

    Left out are deletions in a revision that was compacted to, which etcd loses (#19179).
    """
    deadline = time.monotonic() + seconds
    while (mine := ours.watch.heard(compacted)) != (original := theirs.watch.heard(compacted)):
        if time.monotonic() > deadline:
            for watch_id in sorted({*mine, *original}):
                left, right = mine.get(watch_id, []), original.get(watch_id, [])
                # The first difference, with what came before.
                both = zip(left, right, strict=False)
                unlike = (index for index, (a, b) in enumerate(both) if a != b)
                at = next(unlike, min(len(left), len(right)))
                shown = slice(max(0, at - 3), at + 5)
                if left[shown] != right[shown]:
                    raise AssertionError(
                        f"{trail}\nwatch {watch_id} from {at} on:\n{left[shown]}, not\n{right[shown]}"
                    )
        time.sleep(0.005)
