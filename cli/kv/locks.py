"""Commands for one among many: lock, elect. The line is shared with etcdctl's.

A program run under a lock gets ETCD_LOCK_KEY and ETCD_LOCK_REV; it is run directly, without a shell, and its exit
code is ours.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import TypeVar

from cli.kv.flags import Flag, Values
from cli.kv.session import EXIT_BAD_ARGUMENTS, Exit, fail, session_from, tell, write
from cli.kv.tree import Command
from kvstore.client.client import Client
from kvstore.client.errors import ClientError, NotTheOwner

T = TypeVar("T")


def commands() -> list[Command]:
    """The commands of this module."""
    ttl = Flag("ttl", "int", 10, "seconds after which a holder that died has lost it")
    listen = Flag("listen", help="only watch who leads", short="l")
    return [
        Command(
            "lock",
            "Takes a lock, and holds it until it is interrupted",
            "<lockname> [exec-command arg1 arg2 ...]",
            _lock,
            (ttl,),
        ),
        Command(
            "elect",
            "Stands in an election, or watches one",
            "<election-name> [proposal]",
            _elect,
            (listen,),
        ),
    ]


class _Interrupted(Exception):
    """SIGINT or SIGTERM came."""


async def _until_signal(work: Awaitable[T]) -> T:
    """The result of `work`; _Interrupted, with `work` cancelled, if a signal comes first."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    came = False

    def interrupt() -> None:
        nonlocal came
        if not came and task is not None:
            came = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await work
    except asyncio.CancelledError:
        if not came or task is None:
            raise
        task.uncancel()
        raise _Interrupted from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _lock(values: Values) -> None:
    if not values.arguments:
        fail(
            "lock takes a lock name argument and an optional command to execute", EXIT_BAD_ARGUMENTS
        )
    name, *program = values.arguments
    session = session_from(values)

    async def command(client: Client) -> int:
        lock = client.lock(os.fsencode(name), ttl_seconds=values["ttl"])
        try:
            await _until_signal(lock.acquire())
        except _Interrupted:
            return 1
        try:
            if program:
                return await _run_program(program, lock.key, lock.revision)
            write(session.printer().range(await client.get(lock.key)))
            try:
                await _until_signal(lock.lost.wait())
            except _Interrupted:
                return 0
            fail("session expired")
        finally:
            await _leave(lock.release())

    code = session.run(command)
    if code:
        raise Exit(code)


async def _run_program(program: list[str], key: bytes, revision: int) -> int:
    variables = {"ETCD_LOCK_KEY": os.fsdecode(key), "ETCD_LOCK_REV": str(revision)}
    try:
        process = await asyncio.create_subprocess_exec(*program, env={**os.environ, **variables})
    except OSError as error:
        fail(f'exec: "{program[0]}": {error.strerror}')
    code = await process.wait()
    if code:
        tell(f"Error: exit status {code}")
    return code if code >= 0 else 128 - code


def _elect(values: Values) -> None:
    words = values.arguments
    if len(words) not in (1, 2):
        fail(
            "elect takes one election name argument and an optional proposal argument",
            EXIT_BAD_ARGUMENTS,
        )
    if values["listen"] and len(words) == 2:
        fail("proposal given but -l is set", EXIT_BAD_ARGUMENTS)
    name = os.fsencode(words[0])
    session = session_from(values)

    async def observe(client: Client) -> None:
        election = client.election(name)

        async def follow() -> None:
            async for leader in election.observe():
                write(session.printer().range(await client.get(leader.key)))

        try:
            await _until_signal(follow())
        except _Interrupted:
            return

    async def campaign(client: Client) -> None:
        election = client.election(name)
        try:
            await _until_signal(election.campaign(os.fsencode(words[1])))
        except _Interrupted:
            return
        try:
            write(session.printer().range(await client.get(election.key)))
            await _until_signal(election.lost.wait())
            fail("elect: session expired")
        except _Interrupted:
            return
        finally:
            await _leave(election.resign())

    session.run(campaign if len(words) == 2 else observe)


async def _leave(leaving: Awaitable[None]) -> None:
    try:
        await leaving
    except NotTheOwner:
        return
    except ClientError as error:
        fail(error.message)
