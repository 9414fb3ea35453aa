"""Errors of `quorate kv` become one sentence and an exit code, also out of a group of tasks."""

import asyncio

import pytest

from cli.kv.session import Exit, guarded
from kvstore.client.errors import PermissionDenied


async def refuse() -> None:
    raise PermissionDenied("etcdserver: permission denied")


async def refuse_in_groups() -> None:
    async with asyncio.TaskGroup() as outer:

        async def inner() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
                await refuse()

        outer.create_task(inner())


@pytest.mark.parametrize("command", [refuse, refuse_in_groups])
def test_a_refusal_is_one_sentence(command, capsys) -> None:
    with pytest.raises(Exit):
        guarded(command())
    assert capsys.readouterr().err == "Error: etcdserver: permission denied\n"
