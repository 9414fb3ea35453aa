"""The typed set of faults of one member; what the control socket carries and `quorate status` shows.

All values are frozen and engine-neutral. A value with nothing switched on is no fault (`is_active` False). Lengths of
time are seconds, rates bytes a second, probabilities 0 to 1. `Faults` is the whole state of one member: setting it
anew replaces what was there, so that switching twice is the same as once.
"""

from typing import Annotated, Literal

import msgspec

MAX_SECONDS = 3600.0
MAX_LINKS = 256

Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Direction = Literal["both", "out", "in"]


class _Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    @property
    def is_active(self) -> bool:
        """Whether anything is switched on."""
        return self != type(self)()


class LinkFault(_Fault, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to messages between this member and `peer` (its name; empty: all peers) in one direction."""

    peer: str = ""
    direction: Direction = "both"
    drop: Probability = 0.0
    """Share of messages lost; 1 is a partition: connections stay, nothing passes, new ones are not made."""
    delay_seconds: Seconds = 0.0
    """Every message comes this much later, in order."""
    jitter_seconds: Seconds = 0.0
    """And up to this much more, by chance; order is kept, as TCP keeps it."""
    bytes_per_second: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0
    """How fast bytes pass; 0: no limit."""
    cut: bool = False
    """Connections are broken now and refused until healed."""

    @property
    def is_active(self) -> bool:
        """Whether anything is switched on."""
        return bool(
            self.drop
            or self.delay_seconds
            or self.jitter_seconds
            or self.bytes_per_second
            or self.cut
        )

    def describe(self) -> str:
        """In a few words."""
        words = [
            f"lose {self.drop:.0%}" if 0 < self.drop < 1 else "",
            "drop all" if self.drop == 1 else "",
            f"delay {_text(self.delay_seconds)}" if self.delay_seconds else "",
            f"jitter {_text(self.jitter_seconds)}" if self.jitter_seconds else "",
            f"throttle {self.bytes_per_second} B/s" if self.bytes_per_second else "",
            "cut" if self.cut else "",
        ]
        way = {"both": "to and from", "out": "to", "in": "from"}[self.direction]
        return f"{', '.join(word for word in words if word)} {way} {self.peer or 'all peers'}"


class DiskFault(_Fault, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to the files of log, term and snapshots."""

    slow_fsync_seconds: Seconds = 0.0
    """Every fsync takes this much longer."""
    fail_fsync: bool = False
    """Every fsync fails with EIO: the member ends, for good until it is healed."""
    full: bool = False
    """What would take new space fails with ENOSPC."""
    read_only: bool = False
    """Everything that writes fails with EROFS."""
    torn_on_kill: bool = False
    """Writes reach the file with their fsync only; kill -9 before it leaves a torn file, as a power loss does."""

    def describe(self) -> str:
        """In a few words."""
        words = [
            f"fsync {_text(self.slow_fsync_seconds)} slower" if self.slow_fsync_seconds else "",
            "fsync fails" if self.fail_fsync else "",
            "full" if self.full else "",
            "read-only" if self.read_only else "",
            "torn on kill" if self.torn_on_kill else "",
        ]
        return ", ".join(word for word in words if word)


class ClockFault(_Fault, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the member believes about time."""

    skew_seconds: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] = 0.0
    """The wall clock is wrong by this much."""
    jump_seconds: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] = 0.0
    """Time leaps by this much when this is set, as after a suspended machine; backwards only the wall clock does.
    The sum of all leaps of this member; healing brings the wall clock back, nothing brings monotonic time back."""
    drift: Annotated[float, msgspec.Meta(ge=-0.9, le=9.0)] = 0.0
    """How much faster its clocks run: 0.1 is 10 % fast, -0.5 half as fast."""

    def describe(self) -> str:
        """In a few words."""
        words = [
            f"wall clock off by {_text(self.skew_seconds)}" if self.skew_seconds else "",
            f"leapt {_text(self.jump_seconds)}" if self.jump_seconds else "",
            f"runs {self.drift:+.0%}" if self.drift else "",
        ]
        return ", ".join(word for word in words if word)


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All faults of one member."""

    network: Annotated[tuple[LinkFault, ...], msgspec.Meta(max_length=MAX_LINKS)] = ()
    disk: DiskFault = DiskFault()
    clock: ClockFault = ClockFault()

    @property
    def is_active(self) -> bool:
        """Whether anything is switched on."""
        return bool(self.network) or self.disk.is_active or self.clock.is_active

    def describe(self) -> list[str]:
        """One line a fault."""
        lines = [f"network: {link.describe()}" for link in self.network]
        if self.disk.is_active:
            lines.append(f"disk: {self.disk.describe()}")
        if self.clock.is_active:
            lines.append(f"clock: {self.clock.describe()}")
        return lines


def _text(seconds: float) -> str:
    return f"{seconds:g}s" if abs(seconds) >= 1 else f"{seconds * 1000:g}ms"
