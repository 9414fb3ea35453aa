"""The program `nft`: transactions go in by its standard input; its complaint comes back as an error."""

import asyncio
import shutil
from collections.abc import Sequence

from controlplane.proxy import diff
from controlplane.proxy.rules import Table

_SECONDS = 30.0
_TOO_LONG = "Message too long"


class NftError(Exception):
    """nft refused a transaction, or is not there; the text is its own, cut."""


class Nft:
    """Keeps one table as it is told; what it knows to be there is the state after its own last success."""

    def __init__(self, program: str = "nft") -> None:
        self._program = program
        self._present: Table | None = None
        self._most_commands = diff.MOST_COMMANDS

    @property
    def is_there(self) -> bool:
        """Whether the program can be found."""
        return shutil.which(self._program) is not None

    async def apply(self, table: Table, preamble: Sequence[str]) -> int:
        """Make the kernel's table equal to `table`; the number of commands it took. NftError when it did not work.

        The first call, and the one after a failure, makes the table anew by `preamble`, whatever was there.
        """
        before, self._present = self._present, None
        if before is None:
            before = Table(table.name)
            await self._run("\n".join(preamble) + "\n")
        commands = diff.commands(before, table)
        await self._run_in_parts(commands)
        self._present = table
        return len(commands)

    async def remove(self, names: Sequence[str]) -> None:
        """Take tables away; those that are not there are passed over."""
        for name in names:
            await self._run(f"add table ip {name}\ndelete table ip {name}\n")
        self._present = None

    async def _run_in_parts(self, commands: Sequence[str]) -> None:
        """In as few transactions as the kernel takes: what fits into a socket's buffer is known only by trying."""
        at = 0
        while at < len(commands):
            part = commands[at : at + self._most_commands]
            try:
                await self._run("\n".join(part) + "\n")
            except NftError as error:
                if _TOO_LONG not in str(error) or len(part) == 1:
                    raise
                # Nothing of it has been done.
                self._most_commands = len(part) // 2
            else:
                at += len(part)

    async def _run(self, text: str) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                "-f",
                "-",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise NftError(f"{self._program} cannot be run: {error}") from error
        try:
            async with asyncio.timeout(_SECONDS):
                _, complaint = await process.communicate(text.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise NftError(f"{self._program} did not end within {_SECONDS:.0f} s") from None
        if process.returncode:
            raise NftError(complaint.decode(errors="replace").strip()[:500])
