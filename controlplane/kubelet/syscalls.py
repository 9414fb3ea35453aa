"""The system calls of Linux that Python's standard library lacks (os.unshare and os.setns come with 3.12 only).

All raise OSError. Numbers are those of x86_64 and aarch64, from the kernel's tables; they agree for calls younger
than 424. Single-threaded processes only: `clone` bypasses what os.fork does for threads.
"""

import ctypes
import os
import platform
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

_NUMBERS = {"x86_64": (56, 155, 126), "aarch64": (220, 41, 91)}
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_RESOLVE_IN_ROOT = 0x10
_CAPABILITY_VERSION_3 = 0x20080522

# PyDLL keeps the interpreter's lock, so that a child of `clone` goes on as the one thread there is.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def supported() -> bool:
    """Whether this machine's numbers are known."""
    return platform.system() == "Linux" and platform.machine() in _NUMBERS


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)


def _number(index: int) -> int:
    return _NUMBERS[platform.machine()][index]


def _syscall(number: int, *arguments: object) -> int:
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *wide))


def clone(flags: int, exit_signal: int) -> int:
    """Fork into new namespaces; 0 in the child."""
    return _check(_syscall(_number(0), flags | exit_signal, 0, 0, 0, 0), "clone")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Enter a namespace; of processes' one only children will be part."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    done = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(done, f"mount {kind or source} at {target}")


def unmount(target: str) -> None:
    """Detach a mount now; it ends when its last user does."""
    _check(_libc.umount2(target.encode(), ctypes.c_int(MNT_DETACH)), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and put the old one at `old`."""
    _check(_syscall(_number(1), new.encode(), old.encode()), "pivot_root")


def open_tree(path: str) -> int:
    """A copy of what is mounted at `path` and below, not attached anywhere."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _check(_syscall(_OPEN_TREE, _AT_FDCWD, path.encode(), flags), f"open_tree {path}")


def open_below(root: int, path: str) -> int:
    """A handle (O_PATH) of what is at `path` below the folder `root`, which no link and no `..` leads out of."""
    how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    done = _syscall(_OPENAT2, root, path.encode(), how, len(how))
    return _check(done, f"open {path}")


def move_mount(tree: int, target: str) -> None:
    """Attach such a copy."""
    done = _syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
    _check(done, f"mount at {target}")


def set_read_only(tree: int) -> None:
    """Make such a copy, with all below, refuse writes."""
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0))
    done = _syscall(
        _MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes, len(attributes) - 1
    )
    _check(done, "mount_setattr")


def prctl(option: int, value: int = 0) -> int:
    """prctl(2) with one argument."""
    zero = ctypes.c_ulong(0)
    return _check(
        _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), "prctl"
    )


def set_capabilities(mask: int) -> None:
    """Have these capabilities, and hand none to programs that do not ask for them by being run as root."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0))
    _check(_syscall(_number(2), header, data), "capset")
