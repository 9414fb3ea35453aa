"""The configuration in force, found by a value's key in the store, and read anew when its file changes."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from controlplane.storage.encryption import config as configs
from controlplane.storage.encryption.ciphers import CipherError, RandomBytes
from controlplane.storage.encryption.transformer import Transformer
from controlplane.storage.errors import UnreadableError
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

RELOAD_SECONDS = 5.0
_ROOT = "/registry/"

log = get_logger(__name__)


class Encryption:
    """What is done to the values of each kind on their way into the store and out of it.

    `names` are the kinds under each prefix of the store (`/registry/secrets` -> ("secrets", "")) that do not show in
    the prefix itself, as custom resources' do. `operations` counts by ("to_storage" or "from_storage", prefix, status),
    `reloads` by status.
    """

    def __init__(
        self,
        path: str | Path,
        names: Mapping[str, tuple[str, str]],
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self._path = Path(path)
        self._names = names
        self._random = random_bytes
        self._config = self._read()
        self._by_prefix: dict[str, Transformer | None] = {}
        self.operations: Counter[tuple[str, str, str]] = Counter()
        self.reloads: Counter[str] = Counter()
        # Called when the keys have changed: what could not be read may be readable now.
        self.on_reload: Callable[[], None] = lambda: None

    def seal(self, key: str, plain: bytes) -> bytes:
        """The form in which a value is stored under `key`."""
        transformer = self._of(key)
        if transformer is None:
            return plain
        sealed = transformer.seal(plain, key.encode())
        self.operations["to_storage", _shown(transformer.keys[0].prefix), "OK"] += 1
        return sealed

    def open(self, key: str, stored: bytes) -> tuple[bytes, bool]:
        """The value stored under `key`, and whether another key should seal it by now; UnreadableError."""
        transformer = self._of(key)
        if transformer is None:
            return stored, False
        try:
            plain, is_stale = transformer.open(stored, key.encode())
        except CipherError as error:
            self.operations["from_storage", "unknown", "Internal"] += 1
            raise UnreadableError(key, str(error)) from None
        prefix = next(one.prefix for one in transformer.keys if stored.startswith(one.prefix))
        self.operations["from_storage", _shown(prefix), "OK"] += 1
        return plain, is_stale

    def reload(self) -> bool:
        """Read the file again; whether anything is different now. A file that cannot be used changes nothing."""
        try:
            found = self._read()
        except (OSError, configs.ConfigError) as error:
            self.reloads["failure"] += 1
            log.error("encryption configuration not reloaded", error=str(error))
            return False
        if found.fingerprint == self._config.fingerprint:
            return False
        self._config = found
        self._by_prefix.clear()
        self.reloads["success"] += 1
        log.info("encryption configuration reloaded")
        self.on_reload()
        return True

    async def follow(self, clock: Clock) -> None:
        """Reload whenever the file has changed; runs for ever."""
        seen = self._stamp()
        while True:
            await clock.sleep(RELOAD_SECONDS)
            now = self._stamp()
            if now != seen:
                seen = now
                self.reload()

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> configs.Config:
        return configs.parse(self._path.read_text(encoding="utf-8"), self._random)

    def _of(self, key: str) -> Transformer | None:
        end = key.find("/", len(_ROOT))
        prefix = key[:end]
        if prefix not in self._names and "." in prefix:
            # A kind with its group: /registry/<group>/<plural>/...
            prefix = key[: key.find("/", end + 1)]
        try:
            return self._by_prefix[prefix]
        except KeyError:
            found = self._by_prefix[prefix] = self._find(prefix)
            return found

    def _find(self, prefix: str) -> Transformer | None:
        name = self._names.get(prefix)
        if name is None:
            group, _, plural = prefix[len(_ROOT) :].partition("/")
            if not plural:
                # No kind of the API: numbers that are given out, and the like.
                return None
            name = (plural, group)
        return self._config.of(*name)


def _shown(prefix: bytes) -> str:
    return prefix.decode() or "identity"
