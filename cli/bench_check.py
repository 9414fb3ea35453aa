"""`etcdctl check perf` on a cluster: the check that etcd's own client makes of a store, and what it found.

It writes for a minute at the rate of its load, over all endpoints, and passes if the rate was nearly kept, the slowest
request took less than half a second and the spread was small. Source: etcdctl 3.4, `check perf --help` and what it
prints; the numbers wanted are 150 (s), 1,000 (m), 8,000 (l) and 15,000 (xl) writes a second.
"""

import asyncio
import os
import re
import shutil
from dataclasses import dataclass

from cli.bench_cluster import StoreCluster

CHECK_LOADS = ("s", "m", "l", "xl")

_RATE = re.compile(r"Throughput (?:is|too low:) (\d+) writes/s")
_FINDING = re.compile(r"^(?:PASS: |FAIL: )?((?:Throughput|Slowest|Stddev).*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check said."""

    passed: bool
    rate: float
    findings: tuple[str, ...]

    def text(self) -> str:
        """As one line."""
        return f"{'PASS' if self.passed else 'FAIL'}: {'; '.join(self.findings)}"


def read_verdict(output: str, code: int) -> Verdict:
    """What `etcdctl check perf` printed and its exit code say. Raises ValueError if that is no verdict."""
    rate = _RATE.search(output)
    if rate is None:
        raise ValueError(f"etcdctl check perf: {output.strip()[-300:] or f'exit code {code}'}")
    return Verdict(code == 0, float(rate[1]), tuple(_FINDING.findall(output)))


async def check_perf(cluster: StoreCluster, load: str) -> Verdict:
    """Run the check on all members of `cluster`, which should be empty. Raises ValueError, also without etcdctl."""
    program = shutil.which("etcdctl")
    if program is None:
        raise ValueError("--check-perf needs etcdctl in PATH")
    process = await asyncio.create_subprocess_exec(
        *(program, "--endpoints", ",".join(cluster.endpoints), "check", "perf", f"--load={load}"),
        env={**os.environ, "ETCDCTL_API": "3"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return read_verdict(
        output.decode(errors="replace").replace("\r", "\n"), process.returncode or 0
    )
