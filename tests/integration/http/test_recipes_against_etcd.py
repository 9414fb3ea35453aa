"""Locks and elections over raw gRPC, step by step, beside etcd 3.5: keys, revisions, values, codes and texts.

Each script plays on a fresh name; revisions are told relative to the first one seen.
"""

import contextlib
import itertools
import threading
import time

import grpc
import pytest

from kvstore.pb import election_pb2, health_pb2, lock_pb2
from kvstore.pb import rpc_pb2 as pb

WAIT_SECONDS = 60
_ids = itertools.count(0x1000, 0x100)


class Script:
    """One server's calls; what they answered, made comparable."""

    def __init__(self, server, base):
        self.channel = server.channel
        self.base = base
        self.start = self.range(b"none").header.revision

    def lease(self, number):
        return self.base + number

    def call(self, path, request, response, timeout=WAIT_SECONDS):
        method = self.channel.unary_unary(path, None, response.FromString)
        return method(request.SerializeToString(), timeout=timeout)

    def said(self, path, request, response, timeout=WAIT_SECONDS):
        """The answer, or the refusal's code and text."""
        try:
            return self.call(path, request, response, timeout)
        except grpc.RpcError as error:
            # Either side may notice first.
            is_late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            if is_late or error.details() == "context deadline exceeded":
                return "too late"
            return error.code().name, error.details()

    def range(self, prefix):
        end = prefix[:-1] + bytes((prefix[-1] + 1,))
        return self.call(
            "/etcdserverpb.KV/Range", pb.RangeRequest(key=prefix, range_end=end), pb.RangeResponse
        )

    def keys(self, prefix):
        return [
            (self.name(kv.key), kv.value, kv.create_revision - self.start, kv.lease - self.base)
            for kv in self.range(prefix).kvs
        ]

    def name(self, key):
        """A key with the lease's number instead of its id."""
        prefix, _, lease = key.rpartition(b"/")
        return prefix, int(lease, 16) - self.base

    def grant(self, *numbers):
        for number in numbers:
            self.call(
                "/etcdserverpb.Lease/LeaseGrant",
                pb.LeaseGrantRequest(ID=self.lease(number), TTL=60),
                pb.LeaseGrantResponse,
            )

    def revoke(self, number):
        self.call(
            "/etcdserverpb.Lease/LeaseRevoke",
            pb.LeaseRevokeRequest(ID=self.lease(number)),
            pb.LeaseRevokeResponse,
        )

    def until_keys(self, prefix, count):
        """Wait until there are so many keys; the keys."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found := self.keys(prefix)) != count:
            assert time.monotonic() < deadline, found
            time.sleep(0.01)
        return found

    def lock(self, name, number, timeout=WAIT_SECONDS):
        request = lock_pb2.LockRequest(name=name, lease=self.lease(number))
        found = self.said("/v3lockpb.Lock/Lock", request, lock_pb2.LockResponse, timeout)
        if not isinstance(found, lock_pb2.LockResponse):
            return found
        return self.name(found.key), found.header.revision - self.start

    def unlock(self, name, number):
        key = name + b"/" + f"{self.lease(number):x}".encode()
        found = self.said(
            "/v3lockpb.Lock/Unlock", lock_pb2.UnlockRequest(key=key), lock_pb2.UnlockResponse
        )
        return found.header.revision - self.start

    def campaign(self, name, number, value, timeout=WAIT_SECONDS):
        request = election_pb2.CampaignRequest(name=name, lease=self.lease(number), value=value)
        path = "/v3electionpb.Election/Campaign"
        found = self.said(path, request, election_pb2.CampaignResponse, timeout)
        if not isinstance(found, election_pb2.CampaignResponse):
            return found
        leader = found.leader
        return (
            found.header.revision - self.start,
            leader.name,
            self.name(leader.key),
            leader.rev - self.start,
            leader.lease - self.base,
        )

    def leader(self, name):
        found = self.said(
            "/v3electionpb.Election/Leader",
            election_pb2.LeaderRequest(name=name),
            election_pb2.LeaderResponse,
        )
        return found if isinstance(found, tuple) else self.led(found)

    def led(self, response):
        kv = response.kv
        return (
            response.header.revision - self.start,
            self.name(kv.key),
            kv.value,
            kv.create_revision - self.start,
            kv.mod_revision - self.start,
        )

    def key_of(self, name, number, revision, *, lease=None):
        number_of_lease = number if lease is None else lease
        return election_pb2.LeaderKey(
            name=name,
            key=name + b"/" + f"{self.lease(number):x}".encode(),
            rev=self.start + revision,
            lease=self.lease(number_of_lease),
        )

    def proclaim(self, leader, value):
        request = election_pb2.ProclaimRequest(leader=leader, value=value)
        path = "/v3electionpb.Election/Proclaim"
        return self.revision(self.said(path, request, election_pb2.ProclaimResponse))

    def resign(self, leader):
        request = election_pb2.ResignRequest(leader=leader)
        path = "/v3electionpb.Election/Resign"
        return self.revision(self.said(path, request, election_pb2.ResignResponse))

    def revision(self, found):
        return found if isinstance(found, tuple) else found.header.revision - self.start


class Later:
    """A call in a thread of its own."""

    def __init__(self, what, *args):
        self.found = None
        self._thread = threading.Thread(target=self._run, args=(what, args))
        self._thread.start()

    def _run(self, what, args):
        self.found = what(*args)

    def result(self):
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()
        return self.found


@pytest.fixture
def story(alike):
    """Play a script with both and expect the same story."""

    def run(script):
        base = next(_ids)
        return alike(lambda server: list(script(Script(server, base))))

    return run


def test_who_holds_a_lock_has_it_again(story):
    def script(s):
        s.grant(1)
        yield s.lock(b"again", 1)
        yield s.lock(b"again", 1)
        yield s.keys(b"again/")
        yield s.unlock(b"again", 1)
        yield s.keys(b"again/")
        yield s.unlock(b"again", 1)

    assert story(script)[0] == ((b"again", 1), 1)


def test_locks_go_in_the_order_of_asking(story):
    def script(s):
        s.grant(1, 2, 3)
        yield s.lock(b"row", 1)
        second = Later(s.lock, b"row", 2)
        yield s.until_keys(b"row/", 2)
        third = Later(s.lock, b"row", 3)
        yield s.until_keys(b"row/", 3)
        yield s.unlock(b"row", 1)
        yield second.result()
        yield s.unlock(b"row", 2)
        yield third.result()
        yield s.keys(b"row/")

    assert story(script)[-1][0][0] == (b"row", 3)


def test_a_wait_cut_short_gives_its_place_up(story):
    def script(s):
        s.grant(1, 2)
        yield s.lock(b"cut", 1)
        yield s.lock(b"cut", 2, 0.3)
        yield s.until_keys(b"cut/", 1)

    assert story(script)[1] == "too late"


def test_a_lock_passes_on_with_its_lease(story):
    def script(s):
        s.grant(1, 2)
        yield s.lock(b"lease", 1)
        waiting = Later(s.lock, b"lease", 2)
        yield s.until_keys(b"lease/", 2)
        s.revoke(1)
        yield waiting.result()

    story(script)


def test_a_session_lost_while_waiting_is_told_at_the_end(story):
    def script(s):
        s.grant(1, 2)
        yield s.lock(b"lost", 1)
        waiting = Later(s.lock, b"lost", 2)
        yield s.until_keys(b"lost/", 2)
        s.revoke(2)
        yield s.unlock(b"lost", 1)
        yield waiting.result()

    assert story(script)[-1] == ("UNKNOWN", "mutex: session is expired")


def test_lock_refusals(story):
    def script(s):
        yield s.lock(b"no", 7)
        s.base = -1_000
        yield s.lock(b"no", 0)

    assert story(script) == [("UNKNOWN", "etcdserver: requested lease not found")] * 2


def test_a_campaign_and_its_proclamations(story):
    def script(s):
        s.grant(1)
        yield s.leader(b"one")
        yield s.campaign(b"one", 1, b"a")
        yield s.leader(b"one")
        # Once more, with the same value and with another.
        yield s.campaign(b"one", 1, b"a")
        yield s.campaign(b"one", 1, b"b")
        yield s.leader(b"one")
        yield s.proclaim(s.key_of(b"one", 1, 1), b"c")
        yield s.leader(b"one")
        yield s.resign(s.key_of(b"one", 1, 1))
        yield s.leader(b"one")
        yield s.proclaim(s.key_of(b"one", 1, 1), b"d")
        yield s.resign(s.key_of(b"one", 1, 1))

    told = story(script)
    assert told[0] == ("UNKNOWN", "election: no leader")
    assert told[-2] == ("UNKNOWN", "election: not leader")


def test_leadership_passes_on(story):
    def script(s):
        s.grant(1, 2)
        yield s.campaign(b"two", 1, b"a")
        waiting = Later(s.campaign, b"two", 2, b"b")
        yield s.until_keys(b"two/", 2)
        # A candidate may change what it will say.
        yield s.proclaim(s.key_of(b"two", 2, 2), b"bb")
        yield s.resign(s.key_of(b"two", 1, 1))
        yield waiting.result()
        yield s.leader(b"two")

    assert story(script)[-1][2] == b"bb"


def test_a_campaign_cut_short_is_withdrawn(story):
    def script(s):
        s.grant(1, 2)
        yield s.campaign(b"short", 1, b"a")
        yield s.campaign(b"short", 2, b"b", 0.3)
        yield s.until_keys(b"short/", 1)

    assert story(script)[1] == "too late"


def test_election_refusals(story):
    def script(s):
        s.grant(1)
        yield s.campaign(b"bad", 9, b"a")
        yield s.campaign(b"bad", 1, b"a")
        yield s.proclaim(None, b"x")
        yield s.resign(None)
        yield s.proclaim(s.key_of(b"bad", 1, 0), b"x")
        yield s.proclaim(s.key_of(b"bad", 1, 1, lease=9), b"x")
        yield s.resign(s.key_of(b"bad", 1, 0))
        yield s.keys(b"bad/")

    assert ("UNKNOWN", '"leader" field must be provided') in story(script)


def test_observing(story):
    def script(s):
        s.grant(1, 2)
        call = s.channel.unary_stream(
            "/v3electionpb.Election/Observe", None, election_pb2.LeaderResponse.FromString
        )(election_pb2.LeaderRequest(name=b"seen").SerializeToString(), timeout=WAIT_SECONDS)
        told = []
        reader = threading.Thread(target=lambda: _gather(call, told), daemon=True)
        reader.start()
        yield s.campaign(b"seen", 1, b"a")
        _until(lambda: len(told) >= 1)
        s.proclaim(s.key_of(b"seen", 1, 1), b"b")
        _until(lambda: len(told) >= 2)
        waiting = Later(s.campaign, b"seen", 2, b"c")
        s.until_keys(b"seen/", 2)
        s.revoke(1)
        waiting.result()
        _until(lambda: len(told) >= 3)
        call.cancel()
        reader.join(WAIT_SECONDS)
        yield [s.led(one) for one in told]

    assert [one[2] for one in story(script)[-1]] == [b"a", b"b", b"c"]


def _gather(call, told):
    with contextlib.suppress(grpc.RpcError):
        told.extend(call)


def _until(is_so):
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("service", ["", "etcdserverpb.KV", "nothing"])
def test_health(story, service):
    request = health_pb2.HealthCheckRequest(service=service)

    def script(s):
        yield s.said("/grpc.health.v1.Health/Check", request, health_pb2.HealthCheckResponse)
        call = s.channel.unary_stream(
            "/grpc.health.v1.Health/Watch", None, health_pb2.HealthCheckResponse.FromString
        )(request.SerializeToString(), timeout=WAIT_SECONDS)
        yield next(call)
        call.cancel()

    answer, watched = story(script)
    if service:
        assert answer == ("NOT_FOUND", "unknown service")
        assert watched.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    else:
        assert answer.status == watched.status == health_pb2.HealthCheckResponse.SERVING
