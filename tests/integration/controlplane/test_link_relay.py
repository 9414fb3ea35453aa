"""Links between nodes, slow, cut and free again, with real packets in a network of the test's own."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

UNSHARE = ["unshare", "-Urn"] if os.geteuid() else ["unshare", "-n"]


def _refusal() -> str:
    if shutil.which("unshare") is None:
        return "needs unshare"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=60)
    return f"no network namespace: {done.stderr}" if done.returncode else ""


SCRIPT = textwrap.dedent(
    """
    import json, os, random, socket, subprocess, sys, threading, time
    from controlplane.kubelet import syscalls
    from controlplane.kubelet.network import namespaces as network

    SECONDS = 60
    NODES = {"node-1": "10.244.1.0/24", "node-2": "10.244.2.0/24"}
    fabric, nodes = os.open("/proc/self/ns/net", os.O_RDONLY), {}
    for name, cidr in NODES.items():
        syscalls.unshare(syscalls.CLONE_NEWNET)
        nodes[name] = os.open("/proc/self/ns/net", os.O_RDONLY)
        network.set_up_node(cidr)
        network.join_fabric(fabric, name, cidr)
    syscalls.setns(fabric, syscalls.CLONE_NEWNET)
    relay = subprocess.Popen(
        [sys.executable, "-m", "controlplane.local.links.relay"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )

    def tell(*ways):
        addresses = {name: network.node_address(cidr) for name, cidr in NODES.items()}
        relay.stdin.write(json.dumps({"nodes": addresses, "ways": ways}).encode() + b"\\n")
        relay.stdin.flush()
        assert relay.stdout.readline() == b"ok\\n"

    with network.inside(nodes["node-2"]):
        server = socket.create_server(("10.244.2.1", 80))

    def echo(made):
        while data := made.recv(65536):
            made.sendall(data)

    def serve():
        while True:
            threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()

    def connect(seconds=SECONDS):
        with network.inside(nodes["node-1"]):
            made = socket.socket()
        made.settimeout(seconds)
        made.connect(("10.244.2.1", 80))
        return made

    def round_trip(made):
        begun = time.monotonic()
        made.sendall(b"x")
        assert made.recv(1) == b"x"
        return time.monotonic() - begun

    there, back = ["node-1", "node-2"], ["node-2", "node-1"]
    open_one = connect()
    round_trip(open_one)
    tell([*there, 0, 0.15, 0, 0], [*back, 0, 0.15, 0, 0])
    slow = round_trip(open_one)
    tell([*there, 0, 1e-9, 0, 0])
    much = random.Random(1).randbytes(3_000_000)
    writer = threading.Thread(target=open_one.sendall, args=(much,), daemon=True)
    writer.start()
    got = b""
    while len(got) < len(much):
        got += open_one.recv(1 << 20)
    tell([*there, 1, 0, 0, 0], [*back, 1, 0, 0, 0])
    try:
        connect(0.5)
        cut = False
    except TimeoutError:
        cut = True
    tell()
    healed = connect()
    round_trip(healed)
    tell([*there, 1, 0, 0, 0])
    relay.stdin.close()
    relay.wait(SECONDS)
    round_trip(connect())
    print(json.dumps({"slow": slow >= 0.3, "whole": got == much, "cut": cut}))
    os._exit(0)
    """
)


def test_delay_partition_and_heal() -> None:
    if why := _refusal():
        pytest.skip(why)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {"slow": True, "whole": True, "cut": True}
