"""Password hashes: bcrypt, made and checked away from the event loop.

One hash takes tens of milliseconds by design. Two threads' worth of them run at a time and a bounded number wait, so
that a flood of logins slows down logins and nothing else.
"""

import asyncio

import bcrypt

from kvstore.auth.errors import PasswordTooLong

MIN_COST, MAX_COST, DEFAULT_COST = 4, 31, 10
"""bcrypt's bounds, and etcd's default: 2**10 rounds."""

_MAX_BYTES = 72
"""What bcrypt looks at. Go's refuses to hash more; cutting silently would let two passwords be one."""

_AT_ONCE = 2
_MAX_WAITING = 256


class TooManyLogins(Exception):
    """More passwords wait to be hashed than is reasonable."""


class Passwords:
    """Hashes of a given cost."""

    def __init__(self, cost: int = DEFAULT_COST) -> None:
        self.cost = cost
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> bytes:
        """A new salted hash. Raises PasswordTooLong or TooManyLogins."""
        data = password.encode()
        if len(data) > _MAX_BYTES:
            raise PasswordTooLong
        await self._enter()
        try:
            return await asyncio.to_thread(bcrypt.hashpw, data, bcrypt.gensalt(self.cost))
        finally:
            self._slots.release()

    async def matches(self, hashed: bytes, password: str) -> bool:
        """Whether `hashed` was made of `password`; False also for what is no hash. Raises TooManyLogins."""
        data = password.encode()
        if len(data) > _MAX_BYTES:
            return False
        await self._enter()
        try:
            return await asyncio.to_thread(bcrypt.checkpw, data, hashed)
        except ValueError:
            return False
        finally:
            self._slots.release()

    async def _enter(self) -> None:
        if self._waiting >= _MAX_WAITING:
            raise TooManyLogins
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
