"""Space of a journal: the next segment's zeros ahead of need, and a little held back for a full disk.

A full disk is noticed while half a segment is left to write in, because the next one cannot be prepared, or sooner by
a probe; so that what frees space again, or tells of the trouble, still fits. Term and vote are small but written aside,
which needs a new block: for them a ballast file is removed when there is no other way.
"""

from pathlib import Path

from kvstore.base.files import Files, is_full

_BALLAST_BYTES = 256 << 10
_PROBE_BYTES = 64 << 10


class LogSpace:
    """Of the journal in `directory`. `write_term` is called by the journal's thread, `check` by another."""

    def __init__(self, directory: Path, files: Files, segment_bytes: int) -> None:
        self._directory, self._files = directory, files
        self._segment_bytes = segment_bytes
        self._ballast = directory / "ballast"
        self._has_ballast = False
        self.spare: Path | None = None
        """The zeros of the next segment, if they are there."""

    def open(self) -> None:
        """See what is left from before."""
        ballast = self._ballast
        self._has_ballast = ballast.exists() and ballast.stat().st_size == _BALLAST_BYTES

    def check(self, needs_spare: bool) -> bool:
        """Whether there is space; prepares the next segment if wanted, else only probes."""
        try:
            if needs_spare:
                self._prepare()
            else:
                self._probe()
        except OSError as error:
            if not is_full(error):
                raise
            return False
        return True

    def create_zeros(self, path: Path, size: int) -> None:
        """A new durable file of zeros; none if that fails."""
        self._create(path, size, is_durable=True)

    def write_term(self, path: Path, data: bytes) -> None:
        """Replace a small file durably, on a full disk with the ballast's room."""
        try:
            self._files.write_whole(path, data)
        except OSError as error:
            if not is_full(error) or not self._has_ballast:
                raise
            self._has_ballast = False
            self._files.remove(self._ballast)
            self._files.write_whole(path, data)

    def _prepare(self) -> None:
        if not self._has_ballast:
            self.create_zeros(self._ballast, _BALLAST_BYTES)
            self._has_ballast = True
        if self.spare is None:
            path = self._directory / "spare.new"
            self.create_zeros(path, self._segment_bytes)
            self.spare = path

    def _probe(self) -> None:
        path = self._directory / "probe.new"
        self._create(path, _PROBE_BYTES, is_durable=False)
        self._files.remove(path)

    def _create(self, path: Path, size: int, *, is_durable: bool) -> None:
        descriptor = self._files.create(path)
        try:
            block = b"\0" * min(size, 1 << 20)
            for offset in range(0, size, len(block)):
                self._files.write_at(descriptor, block[: size - offset], offset)
            if is_durable:
                self._files.sync(descriptor)
        except OSError:
            self._files.close(descriptor)
            self._files.remove(path)
            raise
        self._files.close(descriptor)
