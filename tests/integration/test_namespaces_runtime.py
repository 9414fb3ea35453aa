"""What only containers in namespaces have: a file system, processes, users, limits and a network of their own."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.runtimes.interface import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    Feature,
    Limits,
    LogOptions,
    Mount,
    Privileges,
    SandboxConfig,
)
from controlplane.kubelet.runtimes.namespaces.connection import end_node
from controlplane.kubelet.runtimes.namespaces.runtime import NamespaceRuntime
from controlplane.kubelet.runtimes.namespaces.trial import refusal
from kvstore.base.clock import SystemClock

CIDR = "10.244.9.0/24"
SECONDS = 30.0


class Node:
    """A runtime and how tests speak to it."""

    def __init__(self, root: Path, orphan_seconds: float = 60.0) -> None:
        self.root = root
        env = {"PATH": os.environ["PATH"]}
        self.runtime = NamespaceRuntime(root, SystemClock(), env, CIDR, orphan_seconds)

    async def pod(self, number: int = 1, **config: Any) -> str:
        ip = f"10.244.9.{number + 1}"
        box = await self.runtime.run_sandbox(
            SandboxConfig(f"u{number}", f"p{number}", "ns", ip, **config)
        )
        return box.id

    async def run(self, box: str, *argv: str, name: str = "c", **config: Any) -> str:
        made = await self.runtime.create_container(
            box, ContainerConfig(name, 0, "busybox", "id", argv or ("sleep", "1000"), **config)
        )
        await self.runtime.start_container(made)
        return made

    def status(self, made: str) -> ContainerStatus:
        every = [s for n in range(1, 9) for s in self.runtime.list_containers(f"u{n}")]
        return next(s for s in every if s.id == made)

    async def result(self, box: str, script: str, **config: Any) -> tuple[int, str]:
        """Exit code and output of a container that runs a script."""
        made = await self.run(box, "sh", "-c", script, **config)
        async with asyncio.timeout(SECONDS):
            parts = [part async for part in self.runtime.logs(made, LogOptions(follow=True))]
        status = self.status(made)
        assert status.state is ContainerState.EXITED, status
        await self.runtime.remove_container(made)
        return status.exit_code, (status.message or b"".join(parts).decode()).strip()

    async def told(self, made: str, *argv: str) -> str:
        """Output of a command in a running container."""
        return (await self.runtime.exec_sync(made, argv, SECONDS)).output.decode().strip()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    if why := refusal(tmp_path):
        pytest.skip(f"no namespaces here: {why}")
    made = Node(tmp_path)
    await made.runtime.start()
    yield made
    await made.runtime.close()
    end_node(tmp_path)


def needs(node: Node, feature: Feature) -> None:
    if feature not in node.runtime.features:
        pytest.skip(f"this machine does not give {feature.value}")


async def until(probe: Callable[[], Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        while not (value := probe()):
            await asyncio.sleep(0.02)
    return value


async def test_a_container_is_alone(node: Node, tmp_path: Path) -> None:
    hosts = "127.0.0.1\tlocalhost\n10.244.9.2\tp1\n"
    box = await node.pod(hosts=hosts, resolv_conf="nameserver 10.96.0.10\n")
    script = "echo $$; hostname; cat /etc/hosts /etc/resolv.conf; ls /proc | grep -c '^[0-9]*$'"
    code, said = await node.result(box, script)
    assert code == 0
    assert said.splitlines()[:2] == ["1", "p1"]
    assert hosts + "nameserver 10.96.0.10" in said
    assert int(said.splitlines()[-1]) <= 4, "it sees no process of the machine"


async def test_the_machine_cannot_be_written(node: Node) -> None:
    box = await node.pod()
    script = "echo x > /usr/quorate-test; echo x > /quorate-test; echo x > /tmp/t; ls /home /root; ls /tmp"
    await node.result(box, script)
    for place in ("/usr/quorate-test", "/quorate-test"):
        assert not os.path.exists(place)
    assert (await node.result(box, "echo 1 > /proc/sys/kernel/sysrq"))[0] != 0
    assert (await node.result(box, "cat /proc/kcore | head -c 1 | wc -c"))[1].endswith("0")


async def test_volumes_lie_where_the_pod_wants_them(node: Node, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o777)
    volume.chmod(0o777)
    (volume / "file").write_text("content")
    mounts = (
        Mount("v", str(volume), "/data"),
        Mount("v", str(volume), "/usr/share/quorate/ro", read_only=True),
        Mount("v", str(volume / "file"), "/etc/conf/one"),
        Mount("v", str(volume), "/var/run/secrets/here"),
    )
    box = await node.pod()
    script = (
        "cat /usr/share/quorate/ro/file /etc/conf/one /run/secrets/here/file; "
        "echo new > /data/made; (echo no > /usr/share/quorate/ro/no) 2>/dev/null || echo refused"
    )
    _, said = await node.result(box, script, mounts=mounts)
    assert said.count("content") == 3
    assert said.endswith("refused")
    assert (volume / "made").read_text() == "new\n"
    assert not (volume / "no").exists()


@pytest.mark.parametrize(
    ("privileges", "script", "expected"),
    [
        (Privileges(), "id -u; id -g", "0\n0"),
        (Privileges(user=1234, group=99, groups=(7,)), "id -u; id -g; id -G", "1234\n99\n99 7"),
        (Privileges(read_only_root=True), "touch /x 2>/dev/null || echo no; touch /dev/shm/y && echo yes", "no\nyes"),
        (Privileges(drop_capabilities=("ALL",)), "grep -o 'CapEff.*' /proc/self/status", "CapEff:\t0000000000000000"),
        (Privileges(no_new_privileges=True), "grep -c 'NoNewPrivs:.1' /proc/self/status", "1"),
        (Privileges(user=1234), "grep -o 'CapEff.*' /proc/self/status", "CapEff:\t0000000000000000"),
    ],
    ids=["root", "user", "read_only", "no_capabilities", "no_new_privileges", "user_has_none"],
)  # fmt: skip
async def test_identity(node: Node, privileges: Privileges, script: str, expected: str) -> None:
    if privileges.groups:
        needs(node, Feature.USERS)
    box = await node.pod()
    assert await node.result(box, script, privileges=privileges) == (0, expected)


async def test_an_image_without_that_user(node: Node) -> None:
    box = await node.pod()
    made = await node.run(box, "true", image_user="nobody-knows")
    assert node.status(made).reason == "StartError"
    assert "unable to find user nobody-knows" in node.status(made).message


async def test_memory_is_limited(node: Node) -> None:
    needs(node, Feature.LIMITS)
    box = await node.pod()
    made = await node.run(
        box, "python3", "-c", "x = b'x' * 200_000_000", limits=Limits(memory_bytes=64 * 1024**2)
    )
    await until(lambda: node.status(made).state is ContainerState.EXITED)
    assert (node.status(made).exit_code, node.status(made).reason) == (137, "OOMKilled")


async def test_limits_change_while_it_runs_and_are_seen_inside(node: Node) -> None:
    needs(node, Feature.LIMITS)
    box = await node.pod()
    made = await node.run(box, limits=Limits(memory_bytes=64 << 20, cpu_millis=500, cpu_shares=512))
    script = (
        "cd /sys/fs/cgroup; cat memory.max cpu.max 2>/dev/null || "
        "cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us; touch x 2>/dev/null && echo written"
    )
    assert (await node.told(made, "sh", "-c", script)).split()[:2] == [str(64 << 20), "50000"]
    for memory, cpu in ((128 << 20, 250), (32 << 20, 2000)):
        await node.runtime.update_container(made, Limits(memory, cpu, 100))
        said = await node.told(made, "sh", "-c", script)
        assert said.split()[:2] == [str(memory), str(cpu * 100)]
        assert "written" not in said
    await node.runtime.update_container(made, Limits())
    assert "2000" not in (await node.told(made, "sh", "-c", script)).split()[1]
    await node.runtime.stop_container(made, 0)


async def test_what_containers_use(node: Node) -> None:
    needs(node, Feature.LIMITS)
    box = await node.pod()
    script = "x=0; while [ $x -lt 100000 ]; do x=$((x+1)); done; echo done; exec sleep 1000"
    made = await node.run(box, "sh", "-c", script)
    follow = node.runtime.logs(made, LogOptions(follow=True))
    assert await anext(follow) == b"done\n"
    usage = (await node.runtime.usage())[made]
    assert 0.01 < usage.cpu_seconds < SECONDS
    assert 0 < usage.working_set_bytes <= usage.memory_bytes < 1 << 30
    await node.runtime.stop_container(made, 0)
    assert made not in await node.runtime.usage()


async def test_a_fork_bomb_stays_in_its_container(node: Node) -> None:
    needs(node, Feature.LIMITS)
    box = await node.pod()
    bomb = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 100 & done; echo up; wait"
    made = await node.run(box, "sh", "-c", bomb, limits=Limits(pids=8))
    await until(lambda: node.status(made).state is ContainerState.EXITED)
    assert (await node.result(box, "echo fine", name="d")) == (0, "fine")


SERVER = (
    "import socketserver\n"
    "class H(socketserver.BaseRequestHandler):\n"
    "    def handle(self): self.request.sendall(self.client_address[0].encode())\n"
    "socketserver.TCPServer(('0.0.0.0', 80), H).serve_forever()\n"
)
CLIENT = (
    "import socket,sys; print(socket.create_connection((sys.argv[1], 80), 5).recv(99).decode())"
)


async def test_pods_have_addresses_and_ports_of_their_own(node: Node) -> None:
    servers = []
    for number in (1, 2):
        box = await node.pod(number)
        servers.append(await node.run(box, "python3", "-c", SERVER))

    async def ask(made: str, address: str) -> str:
        async with asyncio.timeout(SECONDS):
            while True:
                said = await node.told(made, "python3", "-c", CLIENT, address)
                if "Error" not in said:
                    return said
                await asyncio.sleep(0.05)

    assert await ask(servers[0], "10.244.9.3") == "10.244.9.2", "the source address is kept"
    assert await ask(servers[1], "10.244.9.3") == "10.244.9.3"
    assert await ask(servers[1], "127.0.0.1") == "127.0.0.1"
    other = await node.pod(3)
    code, _ = await node.result(other, f"python3 -c '{CLIENT}' 127.0.0.1 2>/dev/null")
    assert code != 0, "localhost is the pod's own"
    [box] = [b for b in node.runtime.list_sandboxes() if b.pod_uid == "u1"]
    connection = await node.runtime.open_socket(box.id)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", 80))
    assert await loop.sock_recv(connection, 99) == b"127.0.0.1"
    connection.close()


async def test_processes_can_be_shared(node: Node) -> None:
    box = await node.pod(share_processes=True)
    made = await node.run(box, "sleep", "12345", name="a")
    _, said = await node.result(box, "echo $$; cat /proc/*/cmdline | tr '\\0' ' '", name="b")
    assert said.splitlines()[0] != "1"
    assert "sleep 12345" in said
    await node.runtime.stop_container(made, 0)
    assert node.status(made).exit_code == 137


async def test_a_container_among_the_processes_of_another(node: Node) -> None:
    box = await node.pod()
    made = await node.run(box, "sleep", "12345", name="a")
    script = "cat /proc/1/cmdline | tr '\\0' ' '; echo $$"
    _, said = await node.result(box, script, name="b", target=made)
    assert said.startswith("sleep 12345 ")
    assert not said.endswith("\n1")
    assert node.status(made).state is ContainerState.RUNNING, "it goes on"
    await node.runtime.stop_container(made, 0)
    late = await node.run(box, "true", name="c", target=made)
    assert node.status(late).reason == "StartError"


async def test_the_network_can_be_the_nodes(node: Node) -> None:
    box = await node.pod(host_network=True, hostname="node-1")
    _, said = await node.result(box, "hostname; ls /sys/class/net")
    assert said.splitlines() == ["node-1", "lo"]


async def test_attached_to_a_terminal(node: Node) -> None:
    box = await node.pod()
    made = await node.run(box, "sh", tty=True, stdin=True)
    session = await node.runtime.attach(made)
    session.resize(111, 22)
    await session.write(b"stty size; exit 6\n")
    said = b""
    async with asyncio.timeout(SECONDS):
        while (part := await session.read()) is not None:
            said += part[1]
        assert await session.wait() == 6
    assert b"22 111" in said
    await session.close()


async def test_zombies_and_the_deaf_end_with_the_pod(node: Node) -> None:
    box = await node.pod()
    script = "import os, time\nfor _ in range(50):\n    os.fork() or os._exit(0)\ntime.sleep(1000)"
    made = await node.run(box, "python3", "-c", script)
    await node.runtime.stop_container(made, 0.2)
    assert node.status(made).exit_code == 137, "process 1 does not hear SIGTERM without a handler"


async def test_nothing_is_left_of_a_node_that_was_killed(tmp_path: Path) -> None:
    if why := refusal(tmp_path):
        pytest.skip(f"no namespaces here: {why}")
    node = Node(tmp_path)
    await node.runtime.start()
    mark = "86399.5"
    made = await node.run(await node.pod(), "sleep", mark)
    assert node.status(made).state is ContainerState.RUNNING
    [spawner] = [pid for pid, line in processes() if str(tmp_path.resolve()) in line]
    os.kill(spawner, signal.SIGKILL)
    await until(lambda: not [line for _, line in processes() if mark in line])
    await until(lambda: node.status(made).state is ContainerState.EXITED)
    assert node.status(made).exit_code == 137
    again = await node.run(await node.pod(2), "true")
    assert again
    await node.runtime.close()
    assert end_node(tmp_path)
    await until(lambda: not [1 for _, line in processes() if str(tmp_path.resolve()) in line])
    name = (tmp_path / "node-id").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/quorate-{name}"))
    assert "overlay" not in "".join(
        line for line in Path("/proc/self/mounts").read_text().splitlines() if str(tmp_path) in line
    )


async def test_a_node_whose_kubelet_is_gone_ends_by_itself(tmp_path: Path) -> None:
    if why := refusal(tmp_path):
        pytest.skip(f"no namespaces here: {why}")
    node = Node(tmp_path, orphan_seconds=0.5)
    await node.runtime.start()
    mark = "86399.25"
    await node.run(await node.pod(), "sleep", mark)
    await node.runtime.close()
    assert [line for _, line in processes() if mark in line], "a restart is survived"
    await until(lambda: not [line for _, line in processes() if mark in line])
    await until(lambda: not end_node(tmp_path))


def processes() -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append((int(entry.name), line))
    return found


async def test_pods_of_two_nodes_reach_each_other(tmp_path: Path) -> None:
    if why := refusal(tmp_path):
        pytest.skip(f"no namespaces here: {why}")
    env, fabric = {"PATH": os.environ["PATH"]}, tmp_path / "fabric"
    nodes = [
        NamespaceRuntime(tmp_path / f"n{n}", SystemClock(), env, f"10.244.{n}.0/24", 60.0, fabric)
        for n in (1, 2)
    ]
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        made = []
        for number, node in enumerate(nodes, 1):
            address = f"10.244.{number}.5"
            box = await node.run_sandbox(SandboxConfig(f"u{number}", "p", "ns", address))
            argv = ("python3", "-c", SERVER)
            one = await node.create_container(box.id, ContainerConfig("c", 0, "i", "i", argv))
            await node.start_container(one)
            made.append(one)

        async def ask(number: int, address: str) -> str:
            argv = ("python3", "-c", CLIENT, address)
            return (await nodes[number].exec_sync(made[number], argv, SECONDS)).output.decode()

        async with asyncio.timeout(SECONDS):
            while "Error" in (said := await ask(0, "10.244.2.5")):
                await asyncio.sleep(0.1)
        assert said == "10.244.1.5\n", "across nodes the source address is kept, too"
        assert await ask(1, "10.244.1.5") == "10.244.2.5\n"
        enter = [sys.executable, "-m", "controlplane.kubelet.network.enter", str(tmp_path / "n1")]
        process = await asyncio.create_subprocess_exec(
            *enter, "cat", "/proc/net/dev", stdout=subprocess.PIPE
        )
        shown, _ = await process.communicate()
        assert b"fabric0:" in shown
    finally:
        for node in nodes:
            await node.close()
        for name in ("n1", "n2", "fabric"):
            end_node(tmp_path / name)


def static_busybox() -> str:
    """A program that needs no library, to make an image of."""
    found = shutil.which("busybox")
    if found is None or b"ld-linux" in Path(found).read_bytes():
        pytest.skip("no static busybox to make an image of (Debian: busybox-static)")
    return found


async def test_unpacked_images_have_a_root_of_their_own(node: Node, tmp_path: Path) -> None:
    busybox = static_busybox()
    root = tmp_path / "rootfs"
    (root / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "etc/passwd").write_text("app:x:1000:1000::/home/app:/bin/sh\n")
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    box = await node.pod()
    volume = tmp_path / "secret"
    volume.mkdir()
    (volume / "token").write_text("t0ken")
    mounts = (Mount("s", str(volume), "/var/run/secrets/x", read_only=True),)
    script = "busybox cat /run/secrets/x/token; echo; busybox ls /; echo x > /made; busybox id -u"
    code, said = await node.result(
        box, script, rootfs=str(root), mounts=mounts, env={"PATH": "/bin"}, image_user="0"
    )
    assert code == 0, said
    lines = said.splitlines()
    assert lines[0] == "t0ken"
    assert "usr" not in lines, "nothing of the machine is there"
    assert lines[-1] == "0"
    assert not (root / "made").exists(), "an image is never written"
    assert not (root / "run").exists()


async def test_volumes_in_memory(node: Node, tmp_path: Path) -> None:
    volume = tmp_path / "pods/u1/volumes/x/v"
    volume.mkdir(parents=True)
    for _ in range(2):
        await node.runtime.mount_memory(str(volume), 4 << 20)
    box = await node.pod()
    mount = Mount("v", str(volume), "/v")
    script = (
        "stat -f -c %T /v; stat -c %a /v; dd if=/dev/zero of=/v/x bs=1M count=8 2>&1 | tail -n 1; "
        "rm /v/x; echo kept > /v/file; mkdir /v/etc; ln -s /etc /v/out"
    )
    _, said = await node.result(box, script, mounts=(mount,))
    assert said.splitlines()[:2] == ["tmpfs", "777"]
    assert "4194304 bytes" in said, "no more than its size"
    assert list(volume.iterdir()) == [], "nothing on the disk"
    assert await node.runtime.used_bytes([str(volume), str(tmp_path / "none")]) == [4096, 0]

    parts = [Mount("v", str(volume), "/m", sub_path=path) for path in ("a/b", "out/made", "file")]
    mounts = tuple(replace(part, container_path=f"/m{n}") for n, part in enumerate(parts))
    script = "echo 1 > /m0/x; touch /m1/y; cat /m2"
    assert await node.result(box, script, mounts=mounts) == (0, "kept")
    code, said = await node.result(box, "cat /v/a/b/x; ls /v/etc/made", mounts=(mount,))
    assert (code, said) == (0, "1\ny"), "a link leads nowhere but into the volume"

    await node.runtime.remove_tree(str(volume.parent))
    assert not volume.exists()


async def test_volumes_of_a_group(node: Node, tmp_path: Path) -> None:
    needs(node, Feature.USERS)
    volume = tmp_path / "pods/u1/volumes/x/v"
    (volume / "deep").mkdir(parents=True)
    (volume / "deep/file").write_text("x")
    (volume / "deep/file").chmod(0o600)
    (volume / "link").symlink_to("/etc/passwd")
    await node.runtime.own_tree(str(volume), 1234)
    box = await node.pod()
    privileges = Privileges(user=1000, group=1000, groups=(1234,))
    script = "cd /v; cat deep/file; echo more >> deep/file; touch new; stat -c '%g %a' . deep deep/file new"
    mounts = (Mount("v", str(volume), "/v"),)
    _, said = await node.result(box, script, mounts=mounts, privileges=privileges)
    assert said == "x1234 2775\n1234 2775\n1234 660\n1234 644"

    (volume / "deep/file").chmod(0o600)
    await node.runtime.own_tree(str(volume), 1234, only_on_mismatch=True)
    assert (volume / "deep/file").stat().st_mode & 0o777 == 0o600, "its top looks right"
    await node.runtime.own_tree(str(volume), 1234, read_only=True)
    assert (volume / "deep/file").stat().st_mode & 0o777 == 0o640
    assert (volume / "link").is_symlink()
