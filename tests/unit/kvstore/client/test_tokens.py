"""Tokens: fetched once, renewed when refused, never a reason to send a request twice for another cause."""

import asyncio
import random
from typing import Any

import grpc
import grpc.aio
import pytest

from kvstore.base.clock import ManualClock
from kvstore.client import errors
from kvstore.client.endpoints import Connection, parse_endpoint
from kvstore.client.failover import Failover
from kvstore.client.tokens import Tokens
from kvstore.client.txn import Txn, put, value, version
from kvstore.client.types import Compare
from kvstore.pb import rpc_pb2


def failing(code: grpc.StatusCode, message: str) -> grpc.aio.AioRpcError:
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, empty, message, None)


STALE = failing(grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")


class Member(Connection):
    """A member that hands out numbered tokens."""

    def __init__(self, name: str, *, is_on: bool = True) -> None:
        super().__init__(parse_endpoint(name), None)
        self.is_on = is_on
        self.handed_out = 0

    def unary(self, method: str, response: Any) -> Any:
        async def call(request: Any, *, timeout: float) -> Any:
            await asyncio.sleep(0)
            if not self.is_on:
                raise failing(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "etcdserver: authentication is not enabled",
                )
            self.handed_out += 1
            return rpc_pb2.AuthenticateResponse(token=f"token-{self.handed_out}")

        return call


def subject(*members: Member, spread: bool = False, user: str = "u") -> Failover:
    return Failover(members, ManualClock(), random.Random(1), Tokens(user, "p"), spread=spread)


async def test_a_refused_write_is_sent_again_with_a_new_token() -> None:
    member = Member("a:1")
    failover = subject(member)
    used: list[str] = []

    async def send(connection: Connection, seconds: float) -> str:
        used.append(failover.tokens.token)
        if len(used) == 1:
            raise STALE
        return "done"

    assert await failover.run(send, timeout_seconds=5, is_idempotent=False) == "done"
    assert used == ["token-1", "token-2"]


async def test_a_token_that_is_always_refused_ends_with_the_error() -> None:
    member = Member("a:1")

    async def send(connection: Connection, seconds: float) -> str:
        raise STALE

    with pytest.raises(errors.InvalidToken):
        await subject(member).run(send, timeout_seconds=5, is_idempotent=True)
    assert member.handed_out == 3


async def test_many_requests_cause_one_renewal() -> None:
    member = Member("a:1")
    tokens = Tokens("u", "p")
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(tokens.ensure(member, 1.0))
    tokens.refuse("token-0")
    await tokens.ensure(member, 1.0)
    assert (member.handed_out, tokens.metadata()) == (1, (("token", "token-1"),))


async def test_no_token_where_authentication_is_off() -> None:
    tokens = Tokens("u", "p")
    await tokens.ensure(Member("a:1", is_on=False), 1.0)
    assert tokens.metadata() == ()


async def test_requests_can_be_spread() -> None:
    failover = subject(Member("a:1"), Member("b:1"), Member("c:1"), spread=True, user="")
    asked: list[str] = []

    async def send(connection: Connection, seconds: float) -> str:
        asked.append(connection.name)
        if connection.name == "b:1":
            raise failing(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
        return "done"

    for _ in range(4):
        await failover.run(send, timeout_seconds=5, is_idempotent=False)
    assert asked == ["b:1", "c:1", "a:1", "c:1", "a:1"], "who failed gets no turn for a while"


def test_conditions_are_made_by_signs() -> None:
    assert (version("a") == 0) == Compare(b"a", "version", "=", 0)
    assert (value("a/", prefix=True) != "x") == Compare(b"a/", "value", "!=", b"x", b"a0")
    for wrong in (lambda: version("a") == "x", lambda: value("a") > 1, lambda: bool(version("a"))):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError):
        Txn().when(True)  # type: ignore[arg-type]
    shared = Txn().then(put("a", "1"))
    assert shared.then(put("b", "2")).op.success[0] == shared.op.success[0]
    assert len(shared.op.success) == 1
