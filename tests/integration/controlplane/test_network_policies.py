"""Policies in a kernel: pods of three namespaces on two nodes, every pair probed by TCP and UDP.

The cases are those of upstream's network policy tests (test/e2e/network/netpol), as truth tables. All of it happens in
a user namespace of the test's own; a probe that is to be refused begins before those that are to pass, so that no case
waits for time to go by.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

UNSHARE = ["unshare", "-Urn"] if os.geteuid() else ["unshare", "-n"]


def _refusal() -> str:
    if shutil.which("nft") is None or shutil.which("unshare") is None:
        return "needs nft and unshare"
    words = [*UNSHARE, "sh", "-c", "nft add table ip t && nft delete table ip t"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return f"no network namespace with rules: {done.stderr}" if done.returncode else ""


SCRIPT = textwrap.dedent(
    '''
    import asyncio, itertools, json, os, selectors, socket, subprocess, sys, time
    from controlplane.kubelet import syscalls
    from controlplane.kubelet.network import namespaces as network
    from controlplane.proxy.nft import Nft
    from controlplane.proxy.policies import Member, World, build, preamble

    def fresh():
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        made = os.open("/proc/self/ns/net", os.O_RDONLY)
        syscalls.setns(own, syscalls.CLONE_NEWNET)
        os.close(own)
        return made

    # The first network is the fabric; the nodes hang on it.
    fabric = os.open("/proc/self/ns/net", os.O_RDONLY)
    NODES = {"n1": "10.244.1.0/24", "n2": "10.244.2.0/24"}
    SPACES = {name: {"ns": name} for name in "xyz"}
    nodes, pods, members = {}, {}, {}
    for name, cidr in NODES.items():
        nodes[name] = fresh()
        with network.inside(nodes[name]):
            network.set_up_node(cidr)
            network.join_fabric(fabric, name, cidr)
    number = 2
    for at, space in enumerate("xyz"):
        for pod in "abc":
            node = "n1" if (at + ord(pod)) % 2 else "n2"
            address = f"{NODES[node].rsplit('.', 1)[0]}.{number}"
            number += 1
            pods[f"{space}/{pod}"] = fresh()
            with network.inside(nodes[node]):
                network.set_up_pod(pods[f"{space}/{pod}"], f"v{space}{pod}", address, NODES[node])
            ports = {("serve-80-tcp", "TCP"): 80, ("serve-81-tcp", "TCP"): 81}
            members[f"{space}/{pod}"] = Member(space, {"pod": pod}, (address,), ports, node)

    watch = selectors.DefaultSelector()
    def serve(key):
        with network.inside(pods[key]):
            for port in (80, 81):
                tcp = socket.socket()
                tcp.bind(("0.0.0.0", port)); tcp.listen(128); tcp.setblocking(False)
                watch.register(tcp, selectors.EVENT_READ, ("tcp", None))
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                udp.bind(("0.0.0.0", port)); udp.setblocking(False)
                watch.register(udp, selectors.EVENT_READ, ("udp", None))
    for key in pods:
        serve(key)

    # A port chosen by the kernel may be that of an earlier probe, whose datagrams count as a conversation for a while.
    sources = itertools.count(2000)

    def begin(client, place, protocol):
        namespace = nodes[client] if client in nodes else pods[client]
        kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
        with network.inside(namespace):
            made = socket.socket(socket.AF_INET, kind)
            made.bind(("0.0.0.0", next(sources)))
        made.setblocking(False)
        made.connect_ex(place)
        if protocol == "UDP":
            made.send(b"?")
        return made

    def probe(wanted):
        """What of {(client, server, port, protocol): expected} turned out otherwise."""
        done, begun = set(), {}
        for key in sorted(wanted, key=lambda one: wanted[one]):
            client, server, port, protocol = key
            made = begin(client, (members[server].addresses[0], port), protocol)
            begun[key] = made
            events = selectors.EVENT_WRITE if protocol == "TCP" else selectors.EVENT_READ
            watch.register(made, events, ("probe", key))
        deadline = time.monotonic() + 60
        allowed = {key for key, may in wanted.items() if may}
        while not allowed <= done and time.monotonic() < deadline:
            for ready, _ in watch.select(1.0):
                what, key = ready.data
                if what == "tcp":
                    ready.fileobj.accept()[0].close()
                elif what == "udp":
                    data, peer = ready.fileobj.recvfrom(10)
                    ready.fileobj.sendto(b"!", peer)
                else:
                    watch.unregister(ready.fileobj)
                    if not ready.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        done.add(key)
        # One more look for whatever came with the last of those that may.
        for ready, _ in watch.select(0):
            if ready.data[0] == "probe" and not ready.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                done.add(ready.data[1])
        for made in begun.values():
            if made in [key.fileobj for key in watch.get_map().values()]:
                watch.unregister(made)
            made.close()
        return sorted(map(str, done ^ allowed))

    tables = {name: Nft() for name in nodes}
    def apply(policies):
        for name in nodes:
            world = World(name, policies, list(members.values()), SPACES)
            with network.inside(nodes[name]):
                asyncio.run(tables[name].apply(build(world), preamble()))

    def table(rows, ports=((80, "TCP"), (81, "TCP"), (80, "UDP"))):
        """All pairs may; each row (clients, servers, ports) may not. A client is a pod, "x/" a namespace, "" all."""
        wanted = {(c, s, p, q): True for c in pods for s in pods for p, q in ports}
        for clients, servers, closed in rows:
            for key in wanted:
                client, server, port, protocol = key
                if client == server:
                    continue
                if client.startswith(clients) and server.startswith(servers) and (port, protocol) in closed:
                    wanted[key] = False
        return wanted

    ALL = ((80, "TCP"), (81, "TCP"), (80, "UDP"))
    def policy(name, pod=None, space="x", types=("Ingress",), **spec):
        selector = {"matchLabels": {"pod": pod}} if pod else {}
        return {"metadata": {"name": name, "namespace": space},
                "spec": {"podSelector": selector, "policyTypes": list(types), **spec}}
    def match(**labels):
        return {"matchLabels": labels}
    def but(keep, rows):
        """The rows without the pairs to be kept open: (clients, servers, ports)."""
        wanted = table(rows)
        for clients, servers, ports in keep:
            for key in wanted:
                if key[0].startswith(clients) and key[1].startswith(servers) and key[2:] in ports:
                    wanted[key] = True
        return wanted

    A = members
    tcp80, tcp81, udp80 = ((80, "TCP"),), ((81, "TCP"),), ((80, "UDP"),)
    P = [{"port": 80, "protocol": "TCP"}]
    CASES = {
        "nothing": ([], table([])),
        "deny all ingress of a namespace": ([policy("d")], table([("", "x/", ALL)])),
        "deny all egress of a namespace": ([policy("d", types=["Egress"])], table([("x/", "", ALL)])),
        "deny ingress of one pod": ([policy("d", "a")], table([("", "x/a", ALL)])),
        "allow all": ([policy("d", ingress=[{}])], table([])),
        "from a namespace": ([policy("p", "a", ingress=[{"from": [{"namespaceSelector": match(ns="y")}]}])],
                             but([("y/", "x/a", ALL)], [("", "x/a", ALL)])),
        "from a pod of the own namespace": ([policy("p", "a", ingress=[{"from": [{"podSelector": match(pod="b")}]}])],
                                            but([("x/b", "x/a", ALL)], [("", "x/a", ALL)])),
        "from a pod of a namespace, both": (
            [policy("p", "a", ingress=[{"from": [
                {"namespaceSelector": match(ns="y"), "podSelector": match(pod="b")}]}])],
            but([("y/b", "x/a", ALL)], [("", "x/a", ALL)])),
        "from a pod or a namespace": (
            [policy("p", "a", ingress=[{"from": [
                {"namespaceSelector": match(ns="y")}, {"podSelector": match(pod="b")}]}])],
            but([("y/", "x/a", ALL), ("x/b", "x/a", ALL)], [("", "x/a", ALL)])),
        "namespaces by expression": (
            [policy("p", "a", ingress=[{"from": [{"namespaceSelector":
                {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["z", "x"]}]}}]}])],
            but([("y/", "x/a", ALL)], [("", "x/a", ALL)])),
        "one port by number": ([policy("p", "a", ingress=[{"ports": P}])],
                               table([("", "x/a", tcp81 + udp80)])),
        "one port by name": ([policy("p", "a", ingress=[{"ports": [{"port": "serve-81-tcp", "protocol": "TCP"}]}])],
                             table([("", "x/a", tcp80 + udp80)])),
        "a range of ports": ([policy("p", "a", ingress=[{"ports": [{"port": 81, "endPort": 90, "protocol": "TCP"}]}])],
                             table([("", "x/a", tcp80 + udp80)])),
        "UDP alone": ([policy("p", "a", ingress=[{"ports": [{"protocol": "UDP"}]}])],
                      table([("", "x/a", tcp80 + tcp81)])),
        "a port of one namespace": (
            [policy("p", "a", ingress=[{"from": [{"namespaceSelector": match(ns="y")}], "ports": P}])],
            but([("y/", "x/a", tcp80)], [("", "x/a", ALL)])),
        "two policies add up": ([policy("p", "a", ingress=[{"ports": P}]),
                                 policy("q", "a", ingress=[{"ports": [{"port": 81, "protocol": "TCP"}]}])],
                                table([("", "x/a", udp80)])),
        "egress to a pod": ([policy("p", "a", types=["Egress"], egress=[{"to": [{"namespaceSelector": match(ns="y"),
                             "podSelector": match(pod="a")}]}])],
                            but([("x/a", "y/a", ALL)], [("x/a", "", ALL)])),
        "egress to a port by name": (
            [policy("p", "a", types=["Egress"], egress=[{"ports": [{"port": "serve-80-tcp", "protocol": "TCP"}]}])],
            table([("x/a", "", tcp81 + udp80)])),
        "egress to a block": ([policy("p", "a", types=["Egress"], egress=[{"to": [{"ipBlock":
                               {"cidr": A["y/b"].addresses[0] + "/32"}}]}])],
                              but([("x/a", "y/b", ALL)], [("x/a", "", ALL)])),
        "egress to a block but one": ([policy("p", "a", types=["Egress"], egress=[{"to": [{"ipBlock":
                               {"cidr": "10.244.0.0/16", "except": [A["y/b"].addresses[0] + "/32"]}}]}])],
                              table([("x/a", "y/b", ALL)])),
        "ingress and egress both must let it pass": (
            [policy("p", "a", types=["Egress"], egress=[{"to": [{"namespaceSelector": match(ns="y")}]}]),
             policy("q", "a", space="y")],
            but([("x/a", "y/b", ALL), ("x/a", "y/c", ALL)], [("x/a", "", ALL), ("", "y/a", ALL)])),
        "and open again": ([], table([])),
    }
    wrong = {}
    for name, (policies, wanted) in CASES.items():
        apply(policies)
        found = probe(wanted)
        if found:
            wrong[name] = found[:6] + [len(found)]
    # A node reaches its own pods whatever the policies say, as probes must.
    apply([policy("d", space=space, types=["Ingress", "Egress"]) for space in "xyz"])
    own = {(A[key].node, key, 80, "TCP"): True for key in pods}
    other = {("n2" if A[key].node == "n1" else "n1", key, 80, "TCP"): False for key in pods}
    found = probe({**own, **other})
    if found:
        wrong["nodes and their pods"] = found
    print(json.dumps({"wrong": wrong, "cases": len(CASES), "probes": len(table([]))}))
    '''
)


def test_every_pair_of_pods() -> None:
    if why := _refusal():
        pytest.skip(why)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {"wrong": {}, "cases": 22, "probes": 243}
