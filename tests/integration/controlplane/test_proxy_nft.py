"""The rules in a kernel: three namespaces of the test's own, a client, a node and two servers, and real connections."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None or shutil.which("ip") is None,
    reason="needs root, nft and ip, to make network namespaces of its own",
)

# Runs in a namespace of its own: nothing of it reaches the machine's network.
SCRIPT = textwrap.dedent(
    '''
    import asyncio, socket, subprocess, sys, threading
    from controlplane.proxy import rules
    from controlplane.proxy.endpoints import NodeView
    from controlplane.proxy.nft import Nft
    from controlplane.proxy.rules import Settings

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    ip("link", "set", "lo", "up")
    ip("link", "add", "br0", "type", "bridge")
    ip("addr", "add", "10.244.0.1/24", "dev", "br0")
    ip("link", "set", "br0", "up")
    ip("route", "add", "10.96.0.0/16", "dev", "br0")
    open("/proc/sys/net/ipv4/ip_forward", "w").write("1")
    pods = {}
    for number in (2, 3, 4):
        child = subprocess.Popen(["unshare", "-n", "sleep", "60"])
        pods[number] = child
        # The namespace is there once its network differs from ours.
        mine = __import__("os").readlink("/proc/self/ns/net")
        while __import__("os").readlink(f"/proc/{child.pid}/ns/net") == mine:
            pass
        ip("link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", str(child.pid))
        ip("link", "set", f"v{number}", "master", "br0")
        subprocess.run(["bridge", "link", "set", "dev", f"v{number}", "hairpin", "on"], check=True)
        ip("link", "set", f"v{number}", "up")
        inside = ["nsenter", "-t", str(child.pid), "-n", "ip"]
        for words in (["addr", "add", f"10.244.0.{number}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                      ["link", "set", "lo", "up"], ["route", "add", "default", "via", "10.244.0.1"]):
            subprocess.run([*inside, *words], check=True)

    SERVE = """
    import socket
    s = socket.create_server(("0.0.0.0", 8080))
    print("ready", flush=True)
    while True:
        c, peer = s.accept()
        c.sendall(f"{c.getsockname()[0]} {peer[0]}".encode()); c.close()
    """
    ASK = """
    import socket, sys
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
    print(s.recv(100).decode())
    """
    import textwrap
    SERVE, ASK = textwrap.dedent(SERVE), textwrap.dedent(ASK)

    def within(number, *words, **more):
        return ["nsenter", "-t", str(pods[number].pid), "-n", sys.executable, "-c", *words]

    servers = []
    for number in (2, 3):
        server = subprocess.Popen(within(number, SERVE), stdout=subprocess.PIPE)
        server.stdout.readline()
        servers.append(server)

    def ask(number, address, port):
        words = within(number, ASK, address, str(port)) if number else [sys.executable, "-c", ASK, address, str(port)]
        done = subprocess.run(words, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]

    def service(**spec):
        ports = [{"name": "http", "port": 80, "protocol": "TCP", **({"nodePort": 30080} if "type" in spec else {})}]
        return {"metadata": {"name": "web", "namespace": "default"},
                "spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": ports, **spec}}

    def slices(*addresses):
        rows = [{"addresses": [a], "nodeName": "n", "conditions": {"ready": True}} for a in addresses]
        part = {"metadata": {"name": "web-1", "namespace": "default"},
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": rows}
        return {("default", "web"): [part]}

    settings = Settings(NodeView("n"), node_addresses=("10.244.0.1",))
    nft = Nft()

    def apply(one, found):
        asyncio.run(nft.apply(rules.build([one] if one else [], found, settings), rules.preamble(settings)))

    try:
        both = ("10.244.0.2", "10.244.0.3")
        apply(service(), slices(*both))
        seen = {ask(4, "10.96.0.7", 80) for _ in range(24)}
        assert seen == {f"{a} 10.244.0.4" for a in both}, seen
        apply(service(), slices("10.244.0.2"))
        assert ask(2, "10.96.0.7", 80) == "10.244.0.2 10.244.0.1", "a pod reaches itself"
        assert {ask(4, "10.96.0.7", 80) for _ in range(8)} == {"10.244.0.2 10.244.0.4"}
        assert ask(0, "10.96.0.7", 80).startswith("10.244.0.2"), "the node reaches the Service"
        apply(service(type="NodePort"), slices(*both))
        assert ask(4, "10.244.0.1", 30080).split()[0] in both
        apply(service(type="NodePort"), slices())
        for where in (4, 0):
            assert "refused" in ask(where, "10.96.0.7", 80), ask(where, "10.96.0.7", 80)
        assert "refused" in ask(4, "10.244.0.1", 30080)
        config = {"clientIP": {"timeoutSeconds": 60}}
        apply(service(sessionAffinity="ClientIP", sessionAffinityConfig=config), slices(*both))
        assert len({ask(4, "10.96.0.7", 80) for _ in range(12)}) == 1
        apply(None, {})
        left = subprocess.run(["nft", "list", "table", "ip", rules.TABLE], capture_output=True, text=True).stdout
        assert "svc-" not in left and "ep-" not in left and "af-" not in left, left
        print("all well")
    finally:
        for one in (*servers, *pods.values()):
            one.kill(); one.wait()
    '''
)  # fmt: skip


def test_connections_go_where_the_rules_say() -> None:
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if "unshare" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("network namespaces are refused here")
    assert done.stdout.strip() == "all well", done.stderr[-2000:]


def test_many_services_fit_into_transactions() -> None:
    script = textwrap.dedent(
        """
        import asyncio, subprocess
        from controlplane.proxy import rules
        from controlplane.proxy.endpoints import NodeView
        from controlplane.proxy.nft import Nft
        settings = rules.Settings(rules.NodeView("n"))
        services, slices = [], {}
        for n in range(1000):
            ip = f"10.96.{n // 250}.{n % 250}"
            spec = {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80, "protocol": "TCP"}]}
            services.append({"metadata": {"name": f"s{n}", "namespace": "d"}, "spec": spec})
            rows = [{"addresses": [f"10.244.{n // 250}.{n % 250}"], "conditions": {"ready": True}}]
            name = {"name": f"s{n}", "namespace": "d"}
            slices["d", f"s{n}"] = [{"metadata": name, "ports": [{"port": 8080}], "endpoints": rows}]
        nft = Nft()
        asyncio.run(nft.apply(rules.build(services, slices, settings), rules.preamble(settings)))
        print(asyncio.run(nft.apply(rules.build(services[1:], slices, settings), rules.preamble(settings))))
        """
    )
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout.strip() == "5", done.stderr[-2000:]
