"""The process that tries what containers need, step by step; prints one line of JSON and ends."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from controlplane.kubelet import syscalls
from controlplane.kubelet.network.rtnetlink import Netlink
from controlplane.kubelet.runtimes.namespaces.users import choose_maps, enter


def _try(folder: Path, step: list[str]) -> None:
    step[0] = "platform"
    if not syscalls.supported():
        raise OSError(95, f"system calls of {os.uname().machine} are not known")
    step[0] = "user namespace"
    enter(choose_maps())
    syscalls.unshare(
        syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWPID
    )  # fmt: skip
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    step[0] = "mounts"
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    syscalls.mount("proc", "/proc", "proc")
    os.close(syscalls.open_tree("/dev/null"))
    step[0] = "overlay"
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    data = f"lowerdir=/usr,upperdir={folder}/upper,workdir={folder}/work,userxattr"
    syscalls.mount("overlay", str(folder / "root"), "overlay", 0, data)
    syscalls.unmount(str(folder / "root"))
    shutil.rmtree(folder / "work")
    step[0] = "network"
    with Netlink() as link:
        link.set_up("lo")
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        link.add_veth("try0", "try1", own)


def main() -> None:
    """Try, in a folder below the node's own."""
    folder = Path(tempfile.mkdtemp(prefix="trial-", dir=sys.argv[1]))
    step = [""]
    answer: dict[str, object] = {"works": True}
    try:
        _try(folder, step)
    except OSError as problem:
        answer = {"step": step[0], "errno": problem.errno, "error": problem.strerror}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)
