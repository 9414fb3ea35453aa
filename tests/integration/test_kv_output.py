"""`quorate kv` against etcdctl: the same commands on two fresh etcds print the same bytes."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from cli.bench_cluster import StoreCluster, etcd_program
from cli.kv import app

PROGRAM = etcd_program()
ETCDCTL = shutil.which("etcdctl")
pytestmark = pytest.mark.skipif(
    PROGRAM is None or ETCDCTL is None, reason="etcd and etcdctl are not installed"
)

TRANSACTION = b"""mod("a") > "0"
val("b") != "x"

put a 3 --prev-kv
del zz --prev-kv
get a --prefix

put never 1

"""

# Commands and their standard input; $L is the lease granted last.
COMMANDS: list[tuple[str, bytes]] = [
    ("put a 1", b""),
    ("put a 2 --prev-kv", b""),
    ("put a 3 --prev-kv -w json", b""),
    ("put a 4 --prev-kv -w fields", b""),
    ("put a 4 -w table", b""),
    ("put bin", b'\xff\x01\n"<&>'),
    ("put b/1 x", b""),
    ("put b/2 y", b""),
    ("get a", b""),
    ("get a --hex", b""),
    ("get a --print-value-only", b""),
    ("get a -w json", b""),
    ("get a -w fields", b""),
    ("get a -w table", b""),
    ("get bin", b""),
    ("get bin -w json", b""),
    ("get bin -w fields", b""),
    ("get b/ --prefix", b""),
    ("get b/ --prefix=true --keys-only", b""),
    ("get b/ --prefix --limit=1 -w json", b""),
    ("get b/ --prefix --sort-by=value --order=descend", b""),
    ("get b/1 c --consistency=s", b""),
    ("get --from-key b/2", b""),
    ("get nothing", b""),
    ("get nothing -w json", b""),
    ("get a --rev=2", b""),
    ("get a --rev=9999", b""),
    ("get", b""),
    ("get a --sort-by=foo", b""),
    ("get a --order=foo", b""),
    ("get a --consistency=x", b""),
    ("get a --prefix --from-key", b""),
    ("get a b --prefix", b""),
    ("put", b""),
    ("put none --ignore-value", b""),
    ("put none v --lease=77", b""),
    ("txn", TRANSACTION),
    ("txn -w json", TRANSACTION),
    ("txn -i", TRANSACTION),
    ("txn", b"mod(\n\n\n\n"),
    ("lease grant 100", b""),
    ("put leased x --lease=$L", b""),
    ("get leased -w json", b""),
    ("lease list", b""),
    ("lease list -w json", b""),
    ("lease timetolive $L", b""),
    ("lease timetolive $L --keys", b""),
    ("lease timetolive $L --keys -w json", b""),
    ("lease timetolive $L --keys -w fields", b""),
    ("lease timetolive 1234", b""),
    ("lease keep-alive $L --once", b""),
    ("lease keep-alive $L --once -w json", b""),
    ("lease keep-alive 1234", b""),
    ("lease revoke $L", b""),
    ("lease revoke $L", b""),
    ("lease grant", b""),
    ("lease grant 100 -w json", b""),
    ("lease grant 100 -w fields", b""),
    ("member list", b""),
    ("member list -w json", b""),
    ("member list -w fields", b""),
    ("member list -w table", b""),
    ("endpoint hashkv -w json", b""),
    ("endpoint hashkv -w fields", b""),
    ("endpoint status -w json", b""),
    ("endpoint status -w fields", b""),
    ("endpoint health -w json", b""),
    ("alarm list", b""),
    ("move-leader 1", b""),
    ("del b/ --prefix --prev-kv", b""),
    ("del a -w json", b""),
    ("del none", b""),
    ("del", b""),
    ("compaction 3", b""),
    ("compaction 3", b""),
    ("compaction 9999", b""),
    ("compaction", b""),
    ("watch a --rev=1", b""),
    ("defrag", b""),
]


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StoreCluster]]:
    assert PROGRAM is not None
    started = [
        StoreCluster(PROGRAM, tmp_path_factory.mktemp(name), size=1) for name in ("theirs", "ours")
    ]
    try:
        for cluster in started:
            cluster.start(cluster.members[0])
            asyncio.run(cluster.wait_ready())
        yield started
    finally:
        for cluster in started:
            cluster.stop()


def theirs(endpoint: str, words: list[str], stdin: bytes) -> tuple[int, bytes]:
    assert ETCDCTL is not None
    environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": endpoint}
    done = subprocess.run(
        [ETCDCTL, *words], input=stdin, capture_output=True, timeout=20, env=environment
    )
    return done.returncode, done.stdout


def ours(endpoint: str, words: list[str], stdin: bytes) -> tuple[int, bytes]:
    environment = {"ETCDCTL_ENDPOINTS": endpoint}
    done = CliRunner().invoke(app, words, input=stdin, env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout_bytes


def plain(output: bytes) -> str:
    """Without what differs between two clusters: ids, ports, times, sizes, hashes, positions in the log."""
    text = output.decode("utf-8", errors="backslashreplace")
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"\b[0-9]{15,20}\b", "ID", text)
    text = re.sub(r"\b[0-9a-f]{14,16}\b", "HEXID", text)
    text = re.sub(r'("took":"|took = )[^"\n]+', r"\1TIME", text)
    text = re.sub(
        r'("(?:raft\w+|Raft\w+|dbSize\w*|DBSize|hash|Hash|RaftTerm)" ?: ?)\d+', r"\1N", text
    )
    text = re.sub(r'(remaining\(|"ttl":|"TTL" : )\d+', r"\1N", text)
    # Table borders follow the width of the addresses.
    return re.sub(r"-+", "-", re.sub(r" +", " ", text)) if text.startswith("+-") else text


def test_same_words_same_output(clusters: list[StoreCluster]) -> None:
    lease = ["0", "0"]
    differences = []
    for command, stdin in COMMANDS:
        results = []
        for index, run in enumerate((theirs, ours)):
            endpoint = clusters[index].endpoints[0]
            words = command.replace("$L", lease[index]).split()
            code, output = run(endpoint, words, stdin)
            granted = re.match(rb"lease ([0-9a-f]{16}) granted with TTL\(\d+s\)\n", output)
            if granted:
                lease[index] = granted.group(1).decode()
            results.append((code, plain(output)))
        if results[0] != results[1]:
            differences.append((command, *results))
    assert not differences, "\n".join(
        f"{command}\n  etcdctl {a}\n  ours    {b}" for command, a, b in differences
    )
