"""The last steps of a container's process before it becomes the program: who it is, what it may, and exec."""

import contextlib
import errno
import os
import signal
from typing import Any

from controlplane.kubelet import syscalls as sys

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
"""By the kernel's numbers."""
DEFAULT = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
"""What containers have unless the pod says otherwise, as with containerd."""


def capability_mask(privileges: dict[str, Any]) -> int:
    """The capabilities a pod asked for, as bits."""
    if privileges.get("privileged"):
        wanted = set(CAPABILITIES)
    else:
        added = {_plain(name) for name in privileges.get("add_capabilities") or ()}
        dropped = {_plain(name) for name in privileges.get("drop_capabilities") or ()}
        wanted = set(CAPABILITIES if "ALL" in added else DEFAULT)
        if "ALL" in dropped:
            wanted = set()
        wanted = (wanted | added) - (dropped - added)
    return sum(1 << number for number, name in enumerate(CAPABILITIES) if name in wanted)


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def become(
    user: int, group: int, groups: list[int], privileges: dict[str, Any], mapped: bool
) -> None:
    """Take on identity and capabilities. `mapped`: the node's user namespace knows user and group."""
    mask = capability_mask(privileges)
    for number in range(len(CAPABILITIES)):
        with contextlib.suppress(OSError):  # Numbers beyond what this kernel knows.
            if not mask >> number & 1 and sys.prctl(sys.PR_CAPBSET_READ, number):
                sys.prctl(sys.PR_CAPBSET_DROP, number)
    if mapped:
        with contextlib.suppress(PermissionError):  # Denied for ever where only one user is mapped.
            os.setgroups(groups)
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    else:
        _alone(user, group)
    if user == 0 or not mapped:
        sys.set_capabilities(mask if user == 0 else 0)
    if privileges.get("no_new_privileges"):
        sys.prctl(sys.PR_SET_NO_NEW_PRIVS, 1)


def _alone(user: int, group: int) -> None:
    """Look like that user, where the node can map only one: by a user namespace in its own."""
    sys.unshare(sys.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} 0 1"),
        ("gid_map", f"{group} 0 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def run(argv: list[str], env: dict[str, str]) -> None:
    """Become the program, looked up in its own PATH. Returns never; raises OSError in runc's words."""
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    program = argv[0]
    if "/" in program:
        candidates = [program]
    else:
        path = env.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        candidates = [f"{folder}/{program}" for folder in path.split(":") if folder]
    problem: OSError | None = None
    for candidate in candidates:
        try:
            os.execve(candidate, argv, env)
        except OSError as found:
            if problem is None or found.errno not in (errno.ENOENT, errno.ENOTDIR):
                problem = found
    if "/" not in program and (problem is None or problem.errno == errno.ENOENT):
        raise OSError(errno.ENOENT, f'exec: "{program}": executable file not found in $PATH')
    number = problem.errno if problem is not None else errno.ENOENT
    raise OSError(number, f'exec: "{program}": stat {program}: {os.strerror(number or 0).lower()}')


def find_user(text: str) -> tuple[int, int, list[int]]:
    """User, group and more groups for an image's USER, by the container's /etc/passwd and /etc/group."""
    name, _, group_name = text.partition(":")
    users = _rows("/etc/passwd")
    groups = _rows("/etc/group")
    user, group = 0, 0
    row = next((r for r in users if r[0] == name or (name.isdigit() and r[2] == name)), None)
    if row is not None:
        user, group = int(row[2]), int(row[3])
    elif name.isdigit():
        user = int(name)
    elif name:
        raise OSError(
            errno.EINVAL, f"unable to find user {name}: no matching entries in passwd file"
        )
    if group_name:
        found = next((r for r in groups if group_name in (r[0], r[2])), None)
        if found is None and not group_name.isdigit():
            raise OSError(
                errno.EINVAL,
                f"unable to find group {group_name}: no matching entries in group file",
            )
        group = int(found[2]) if found is not None else int(group_name)
        return user, group, []
    login = row[0] if row is not None else ""
    more = [int(r[2]) for r in groups if login and login in r[3].split(",")]
    return user, group, more


def home_of(user: int) -> str:
    """The home folder of a user of the container."""
    row = next((r for r in _rows("/etc/passwd") if r[2] == str(user)), None)
    return row[5] if row is not None and row[5] else "/"


def _rows(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [fields for line in file if len(fields := line.strip().split(":")) >= 4]
    except OSError:
        return []
