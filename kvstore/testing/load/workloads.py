"""The requests of each workload: one `Source` a client gives its next request and judges the reply.

Put and range requests are built by joining bytes around the key, so that building costs next to nothing; replies are
checked by status always, by content for every sixteenth.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from kvstore.pb import rpc_pb2 as pb
from kvstore.testing.load.spec import LoadSpec

KEY = b"bench/%010d"
KUBE_PREFIX = b"/registry/configmaps/bench/"
_CHECK_EVERY = 16

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"


class Request(NamedTuple):
    """One request; `problem_of(reply)` is empty if the reply is right."""

    path: str
    message: bytes
    problem_of: Callable[[bytes], str]


class Source(Protocol):
    """The requests of one client."""

    def next(self) -> Request:
        """The next one."""
        ...


def _fine(_: bytes) -> str:
    return ""


def range_end(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`, whose last byte is not 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


class _Base:
    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        self.spec = spec
        self.client = client
        self.rng = rng
        self.count = 0

    def key(self) -> bytes:
        return KEY % self.rng.randrange(self.spec.keys)

    def is_checked(self) -> bool:
        self.count += 1
        return self.count % _CHECK_EVERY == 1


class Puts(_Base):
    """Put a random key."""

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        value = rng.randbytes(spec.value_size)
        whole = pb.PutRequest(key=KEY % 0, value=value).SerializeToString()
        self._before, _, self._after = whole.partition(KEY % 0)

    def next(self) -> Request:
        """A put."""
        return Request(PUT, self._before + self.key() + self._after, _put_problem)


def _put_problem(reply: bytes) -> str:
    return "" if reply else "an empty PutResponse"


class Gets(_Base):
    """Read one random key that exists."""

    is_serializable = False

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        request = pb.RangeRequest(key=KEY % 0, serializable=self.is_serializable)
        self._before, _, self._after = request.SerializeToString().partition(KEY % 0)

    def next(self) -> Request:
        """A range of one key."""
        check = _one_key if self.is_checked() else _fine
        return Request(RANGE, self._before + self.key() + self._after, check)


class SerializableGets(Gets):
    """The same, from the member asked, without asking the others."""

    is_serializable = True


def _one_key(reply: bytes) -> str:
    count = len(pb.RangeResponse.FromString(reply).kvs)
    return "" if count == 1 else f"{count} keys instead of one"


class Lists(_Base):
    """Read 1,000 keys."""

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        self._request = pb.RangeRequest(
            key=KEY % 0, range_end=range_end(b"bench/"), limit=1000, serializable=True
        ).SerializeToString()

    def next(self) -> Request:
        """A range."""
        return Request(RANGE, self._request, _thousand_keys if self.is_checked() else _fine)


def _thousand_keys(reply: bytes) -> str:
    count = len(pb.RangeResponse.FromString(reply).kvs)
    return "" if count == 1000 else f"{count} keys instead of 1000"


class CompareAndPuts(_Base):
    """Put if the key exists: one compare, one put."""

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        self._request = pb.TxnRequest()
        self._compare = self._request.compare.add(
            target=pb.Compare.VERSION, result=pb.Compare.GREATER, version=0
        )
        self._put = self._request.success.add().request_put
        self._put.value = rng.randbytes(spec.value_size)

    def next(self) -> Request:
        """A transaction."""
        self._compare.key = self._put.key = self.key()
        check = _succeeded if self.is_checked() else _fine
        return Request(TXN, self._request.SerializeToString(), check)


def _succeeded(reply: bytes) -> str:
    return "" if pb.TxnResponse.FromString(reply).succeeded else "the compare failed"


class ManyPuts(_Base):
    """64 puts in one transaction."""

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        self._request = pb.TxnRequest()
        self._puts = [self._request.success.add().request_put for _ in range(64)]
        for put in self._puts:
            put.value = rng.randbytes(spec.value_size)

    def next(self) -> Request:
        """A transaction of distinct keys."""
        first = self.rng.randrange(self.spec.keys)
        for offset, put in enumerate(self._puts):
            put.key = KEY % ((first + offset) % max(self.spec.keys, 64))
        check = _succeeded if self.is_checked() else _fine
        return Request(TXN, self._request.SerializeToString(), check)


class Grants(_Base):
    """Grant leases of ten minutes."""

    def next(self) -> Request:
        """A grant."""
        check = _granted if self.is_checked() else _fine
        return Request(LEASE_GRANT, pb.LeaseGrantRequest(TTL=600).SerializeToString(), check)


def _granted(reply: bytes) -> str:
    answer = pb.LeaseGrantResponse.FromString(reply)
    return "" if answer.ID else f"no lease: {answer.error}"


class Mixed(_Base):
    """Nine linearizable reads to one put."""

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        self._gets, self._puts = Gets(spec, client, rng), Puts(spec, client, rng)

    def next(self) -> Request:
        """Either."""
        return (self._puts if self.rng.random() < 0.1 else self._gets).next()


class Kubernetes(_Base):
    """What an API server asks: guarded creates, updates and deletes of 1 KiB objects, reads, pages of lists."""

    def __init__(self, spec: LoadSpec, client: int, rng: random.Random) -> None:
        super().__init__(spec, client, rng)
        self._key = KUBE_PREFIX + b"object-%04d" % client
        self._value = rng.randbytes(1024)
        self._revision = 0
        self._list = pb.RangeRequest(
            key=KUBE_PREFIX, range_end=range_end(KUBE_PREFIX), limit=500
        ).SerializeToString()

    def next(self) -> Request:
        """A transaction on the client's own object, a read of it, or a list."""
        chance = self.rng.random()
        if chance < 0.3:
            return Request(RANGE, pb.RangeRequest(key=self._key).SerializeToString(), _fine)
        if chance < 0.35:
            return Request(RANGE, self._list, _fine)
        request = pb.TxnRequest()
        request.compare.add(
            target=pb.Compare.MOD,
            result=pb.Compare.EQUAL,
            key=self._key,
            mod_revision=self._revision,
        )
        if self._revision and chance < 0.4:
            request.success.add().request_delete_range.key = self._key
        else:
            put = request.success.add().request_put
            put.key, put.value = self._key, self._value
        request.failure.add().request_range.key = self._key
        return Request(TXN, request.SerializeToString(), self._learn)

    def _learn(self, reply: bytes) -> str:
        answer = pb.TxnResponse.FromString(reply)
        first = answer.responses[0]
        if not answer.succeeded:
            kvs = first.response_range.kvs
            self._revision = kvs[0].mod_revision if kvs else 0
        elif first.WhichOneof("response") == "response_put":
            self._revision = answer.header.revision
        else:
            self._revision = 0
        return ""


class Fill(_Base):
    """Write all keys once, 64 a transaction; clients share the range."""

    def __init__(
        self, spec: LoadSpec, client: int, rng: random.Random, taken: Iterator[int] | None = None
    ) -> None:
        super().__init__(spec, client, rng)
        self._taken = itertools.count() if taken is None else taken

    def next(self) -> Request:
        """The next 64 keys that no client has taken; beyond the end they begin again."""
        batches = (self.spec.keys + 63) // 64
        batch = next(self._taken) % batches
        request = pb.TxnRequest()
        value = self.rng.randbytes(self.spec.value_size)
        for number in range(batch * 64, min(batch * 64 + 64, self.spec.keys)):
            put = request.success.add().request_put
            put.key, put.value = KEY % number, value
        return Request(TXN, request.SerializeToString(), _succeeded)


SOURCES: dict[str, Callable[[LoadSpec, int, random.Random], Source]] = {
    "put": Puts,
    "get": Gets,
    "get-serializable": SerializableGets,
    "list-1000": Lists,
    "txn-compare-put": CompareAndPuts,
    "txn-64-puts": ManyPuts,
    "lease-grant": Grants,
    "mixed": Mixed,
    "kubernetes": Kubernetes,
    "fill": Fill,
}
"""Workloads of one request, one reply."""


def source_of(workload: str) -> Callable[[LoadSpec, int, random.Random], Source]:
    """What makes the sources of one run."""
    return partial(Fill, taken=itertools.count()) if workload == "fill" else SOURCES[workload]
