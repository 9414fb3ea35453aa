"""The user namespace of a node: who may be inside, and how its maps are written.

Three ways, the best that is allowed: root maps everybody to themselves; an ordinary user maps itself to root and, with
newuidmap and lines in /etc/subuid and /etc/subgid, a range of subordinate ids; without these, itself alone.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from controlplane.kubelet import syscalls

_MOST = 65536


@dataclass(frozen=True, slots=True)
class Maps:
    """What is written to uid_map and gid_map: rows of inside, outside, count."""

    users: tuple[tuple[int, int, int], ...]
    groups: tuple[tuple[int, int, int], ...]
    by_tool: bool = False
    """Whether newuidmap and newgidmap have to write them."""

    def holds(self, user: int, group: int) -> bool:
        """Whether processes inside can be this user and group."""
        return _in(self.users, user) and _in(self.groups, group)


def _in(rows: tuple[tuple[int, int, int], ...], number: int) -> bool:
    return any(first <= number < first + count for first, _, count in rows)


def choose_maps() -> Maps:
    """The widest maps this process may have."""
    if os.geteuid() == 0:
        return Maps(_identity("/proc/self/uid_map"), _identity("/proc/self/gid_map"))
    user, group = os.geteuid(), os.getegid()
    alone = Maps(((0, user, 1),), ((0, group, 1),))
    if not (_tool("newuidmap") and _tool("newgidmap")):
        return alone
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    users = _subordinate("/etc/subuid", name, user)
    groups = _subordinate("/etc/subgid", name, user)
    if users is None or groups is None:
        return alone
    return Maps((*alone.users, (1, *users)), (*alone.groups, (1, *groups)), by_tool=True)


def enter(maps: Maps) -> Maps:
    """Enter a new user namespace as its root; returns the maps it has got. Raises OSError.

    The maps must be written from outside, so a child stays there for that moment.
    """
    ready_read, ready_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready_write)
            code = 1
            if os.read(ready_read, 1):
                code = _write_from_outside(parent, maps)
        finally:
            os._exit(code)
    os.close(ready_read)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready_write, b"x")
    finally:
        os.close(ready_write)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        pass
    elif maps.by_tool:
        # The tools refuse for reasons of their own (ranges, setuid bit): one user is better than none.
        maps = Maps(maps.users[:1], maps.groups[:1])
        _write_alone(maps)
    else:
        raise OSError(code, f"cannot write uid_map: {os.strerror(code)}")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return maps


def join(namespace: int) -> Maps:
    """Enter a user namespace that another process made, as its root; returns its maps. Raises OSError."""
    syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return Maps(_rows("/proc/self/uid_map"), _rows("/proc/self/gid_map"))


def _write_alone(maps: Maps) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    for name, rows in (("uid_map", maps.users), ("gid_map", maps.groups)):
        Path(f"/proc/self/{name}").write_text(_text(rows))


def _write_from_outside(pid: int, maps: Maps) -> int:
    """0, or the number of the error."""
    import subprocess  # Half of what this process would load; the spawner does not need it.

    try:
        if maps.by_tool:
            for tool, rows in (("newuidmap", maps.users), ("newgidmap", maps.groups)):
                words = [str(number) for row in rows for number in row]
                subprocess.run([tool, str(pid), *words], check=True, capture_output=True)
            return 0
        if len(maps.users) == 1 and maps.users[0][2] == 1:
            Path(f"/proc/{pid}/setgroups").write_text("deny")
        for name, rows in (("uid_map", maps.users), ("gid_map", maps.groups)):
            Path(f"/proc/{pid}/{name}").write_text(_text(rows))
    except OSError as problem:
        return problem.errno or 1
    except subprocess.CalledProcessError:
        return 1
    return 0


def _text(rows: tuple[tuple[int, int, int], ...]) -> str:
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in rows)


def _rows(path: str) -> tuple[tuple[int, int, int], ...]:
    rows = [[int(word) for word in line.split()] for line in Path(path).read_text().splitlines()]
    return tuple((first, outside, count) for first, outside, count in rows)


def _identity(path: str) -> tuple[tuple[int, int, int], ...]:
    return tuple((first, first, count) for first, _, count in _rows(path))


def _subordinate(path: str, name: str, number: int) -> tuple[int, int] | None:
    """First id and how many, of the first range of that user."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in (name, str(number)) and first.isdigit() and count.isdigit():
            return int(first), min(int(count), _MOST - 1)
    return None


def _tool(name: str) -> bool:
    return any(os.access(f"{folder}/{name}", os.X_OK) for folder in os.get_exec_path())
