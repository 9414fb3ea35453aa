"""All fault points of one member in one place: build it, hand its parts to the member, `apply` what should be on."""

import random
from collections.abc import Callable, Mapping

from kvstore.base.clock import Clock
from kvstore.base.files import Files
from kvstore.faults.clock import FaultClock
from kvstore.faults.disk import FaultFiles
from kvstore.faults.kinds import Faults
from kvstore.faults.network import NetworkFaults


class MemberFaults:
    """`clock`, `files` and `network` are what the member uses in place of the plain ones.

    Args:
        own: the member's id.
        peers: all members' ids by name.
        clock, files: the real ones.
        rng: chance of losses, jitter and torn sectors.
        sleep: blocks a thread for so many seconds, for slow fsyncs.
    """

    def __init__(
        self,
        own: int,
        peers: Mapping[str, int],
        clock: Clock,
        files: Files,
        rng: random.Random,
        sleep: Callable[[float], object],
    ) -> None:
        self.clock = FaultClock(clock)
        self.files = FaultFiles(files, random.Random(rng.getrandbits(64)), sleep)
        self.network = NetworkFaults(own, peers, rng)
        self.current = Faults()

    def apply(self, faults: Faults) -> None:
        """Make `faults` the whole of what is on. Raises ValueError (UnknownPeer), which changes nothing."""
        self.network.set(faults.network)
        self.files.fault = faults.disk
        if faults.clock != self.clock.fault:
            self.clock.set(faults.clock)
        self.current = faults
