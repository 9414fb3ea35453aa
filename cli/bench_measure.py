"""One measurement in a worker process, and what figures of two stores say beside each other."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from kvstore.testing.load.spec import Figures, LoadSpec


async def measure(spec: LoadSpec) -> Figures:
    """Run `spec` in a process of its own. Raises ValueError with the worker's sentence."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kvstore.testing.load.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, error = await worker.communicate(msgspec.json.encode(spec))
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    if worker.returncode != 0:
        raise ValueError(f"{spec.workload}: {error.decode().strip() or 'the worker died'}")
    return msgspec.json.decode(out, type=Figures)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle; 0 for none."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return 0.0
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the comparison: what was measured, in which unit, and its value round by round."""

    name: str
    unit: str
    is_rate: bool
    """True: more is better, and the ratio is ours/etcd; else less is, and the ratio is the same quotient."""
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """ours/etcd, round by round."""
        pairs = zip(self.ours, self.theirs, strict=False)
        return [one / other for one, other in pairs if other]

    def text(self) -> str:
        """The line as printed."""
        found = self.ratios()
        ratio = (
            f"{median(found):>6.2f}  [{min(found):.2f} - {max(found):.2f}]" if found else "     -"
        )
        better = "more" if self.is_rate else "less"
        return (
            f"{self.name:<44} {median(self.ours):>11.2f} {median(self.theirs):>11.2f} "
            f"{self.unit:<8} {ratio}  ({better} is better)"
        )

    def document(self) -> dict[str, object]:
        """The line as JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "more_is_better": self.is_rate,
            "ours": self.ours,
            "etcd": self.theirs,
            "ratio": median(self.ratios()) if self.ratios() else None,
        }


HEAD = f"{'measured':<44} {'ours':>11} {'etcd':>11} {'unit':<8} ours/etcd [spread]"
