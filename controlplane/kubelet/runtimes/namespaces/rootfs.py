"""The file system of a container, put together in a mount namespace that only its own processes see.

Images are directories; each container gets an overlay over one, or a copy where the kernel has no overlay for ordinary
users. The image "" stands for the machine's own programs: an overlay over each of its program folders, over a base with
a small /etc, and nothing of its homes, state and secrets.

    <container>/upper, work       what the overlays write
    <container>/root              where the new root is put together
"""

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.kubelet import syscalls as sys

_PROGRAM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "opt")
_EMPTY_FOLDERS = {"tmp": 0o1777, "run": 0o755, "var/tmp": 0o1777, "var/log": 0o755, "root": 0o700}
_EMPTY_FOLDERS |= {"home": 0o755, "mnt": 0o755, "srv": 0o755, "var/lib": 0o755, "var/cache": 0o755}
_SHARED_ETC = (
    "alternatives", "debian_version", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "mime.types", "os-release", "protocols", "services", "ssl/certs", "ssl/openssl.cnf",
    "terminfo", "timezone",
)  # fmt: skip
"""What programs of the machine read of its settings; links are copied, all else is shown read-only."""
_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx", "core": "/proc/kcore",
}  # fmt: skip
# What runc hides of a container by default, and what it makes read-only.
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(slots=True)
class RootConfig:
    """What the container is to see."""

    directory: str
    """The container's own folder on the host; the caller's to delete."""
    rootfs: str = ""
    base: str = ""
    """What `make_base` made; for the image "" only."""
    programs: list[str] = field(default_factory=list)
    """More folders of the host that stand for programs, shown read-only; for the image "" only."""
    mounts: list[dict[str, Any]] = field(default_factory=list)
    """`host_path`, `sub_path`, `container_path`, `read_only`."""
    files: dict[str, str] = field(default_factory=dict)
    """Files of the pod by path, as paths of the host: /etc/hosts and the like."""
    working_dir: str = ""
    read_only: bool = False
    privileged: bool = False
    can_overlay: bool = True
    cgroups: dict[str, str] = field(default_factory=dict)
    """The container's own control groups on the host, by controller; "" stands for all."""


def enter(config: RootConfig) -> None:
    """Make it and step into it; for a process in a mount namespace of its own. Raises OSError."""
    sys.mount("", "/", "", sys.MS_REC | sys.MS_PRIVATE)
    top = Path(config.directory)
    root = top / "root"
    root.mkdir(exist_ok=True)
    # Taken before the root changes: afterwards links of the host would lead to the container's files.
    devices = {name: sys.open_tree(f"/dev/{name}") for name in _DEVICES}
    trees = [(_tree(entry), entry["container_path"]) for entry in _by_depth(config.mounts)]
    files = [(sys.open_tree(source), target) for target, source in config.files.items()]
    null = sys.open_tree("/dev/null")
    groups = _group_trees(config.cgroups)
    if config.rootfs:
        _image_root(config, top, root)
    else:
        _host_root(config, top, root)
    os.chdir(root)
    _kernel_folders(config, devices)
    _show_groups(groups)
    sys.pivot_root(".", ".")
    sys.unmount(".")
    os.chdir("/")
    for tree, target in (*trees, *files):
        _attach(tree, target)
    if not config.privileged:
        _mask(null)
    if config.working_dir:
        os.makedirs(os.path.realpath(config.working_dir), exist_ok=True)
    if config.read_only:
        sys.mount("", "/", "", sys.MS_REMOUNT | sys.MS_BIND | sys.MS_RDONLY | _flags("/"))


def _by_depth(mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(mounts, key=lambda entry: entry["container_path"].rstrip("/").count("/"))


def _tree(entry: dict[str, Any]) -> int:
    source = entry["host_path"]
    if not entry.get("sub_path"):
        tree = sys.open_tree(source)
    else:
        place = _folder_below(source, entry["sub_path"])
        tree = sys.open_tree(f"/proc/self/fd/{place}")
        os.close(place)
    if entry.get("read_only"):
        sys.set_read_only(tree)
    return tree


def _folder_below(root: str, path: str) -> int:
    """A handle of what is at `path` below `root`, made a folder where nothing is; links do not lead out of `root`."""
    place = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    top = os.dup(place)
    try:
        done = ""
        for part in path.strip("/").split("/"):
            done = f"{done}/{part}".lstrip("/")
            try:
                found = sys.open_below(top, done)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=place)
                os.chmod(f"/proc/self/fd/{place}/{part}", 0o777)
                found = sys.open_below(top, done)
            os.close(place)
            place = found
    except BaseException:
        os.close(place)
        raise
    finally:
        os.close(top)
    return place


def _attach(tree: int, target: str) -> None:
    # Links are followed within the new root, which is the only one there is by now.
    place = os.path.realpath("/" + target.lstrip("/"))
    if place == "/":
        raise OSError(22, f"a volume cannot be mounted at {target!r}")
    is_folder = os.path.isdir(f"/proc/self/fd/{tree}")
    if is_folder:
        os.makedirs(place, exist_ok=True)
    elif not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    sys.move_mount(tree, place)
    os.close(tree)


def _image_root(config: RootConfig, top: Path, root: Path) -> None:
    if config.can_overlay:
        _overlay(config.rootfs, top, "image", root)
        return
    copy = top / "upper" / "copy"
    if not copy.exists():
        shutil.copytree(config.rootfs, copy, symlinks=True)
    sys.mount(str(copy), str(root), "", sys.MS_BIND | sys.MS_REC)


def make_base(base: Path) -> None:
    """The folder that the image "" stands on, made once a node: what is not one of the machine's programs."""
    if base.exists():
        return
    made = base.with_name(f"{base.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for name in _PROGRAM_FOLDERS:
        source, place = Path("/", name), made / name
        if source.is_symlink():
            place.symlink_to(os.readlink(source))
        elif source.is_dir():
            place.mkdir()
    for name, mode in _EMPTY_FOLDERS.items():
        (made / name).mkdir(parents=True)
        (made / name).chmod(mode)
    (made / "var/run").symlink_to("/run")
    for name in ("dev", "proc", "sys"):
        (made / name).mkdir()
    _small_etc(made / "etc")
    made.rename(base)


def _host_root(config: RootConfig, top: Path, root: Path) -> None:
    if config.can_overlay:
        _overlay(config.base, top, "base", root)
    else:
        copy = top / "upper" / "base"
        if not copy.exists():
            shutil.copytree(config.base, copy, symlinks=True)
        sys.mount(str(copy), str(root), "", sys.MS_BIND | sys.MS_REC)
    for name in _PROGRAM_FOLDERS:
        if not (root / name).is_symlink() and Path("/", name).is_dir():
            _program_folder(config, top, name, root / name)
    for name in _SHARED_ETC:
        source = Path("/etc", name)
        if source.exists() and not source.is_symlink():
            _show(str(source), root / "etc" / name)
    for program in config.programs:
        folders = (Path(program), *Path(program).parents)
        if not any(Path("/", name) in folders for name in _PROGRAM_FOLDERS):
            place = root / program.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            _show(program, place)


def _show(source: str, place: Path) -> None:
    """Mount a part of the machine read-only."""
    tree = sys.open_tree(source)
    sys.set_read_only(tree)
    sys.move_mount(tree, str(place))
    os.close(tree)


def _program_folder(config: RootConfig, top: Path, name: str, place: Path) -> None:
    if not config.can_overlay:
        _show(f"/{name}", place)
        return
    for path in [entry["container_path"] for entry in config.mounts] + [config.working_dir]:
        inside = Path("/", path.lstrip("/"))
        # In the merged folder an ordinary user could not make them: its directories are the host's root's.
        if Path("/", name) in inside.parents and not inside.exists() and ".." not in inside.parts:
            (top / "upper" / name / inside.relative_to(Path("/", name))).mkdir(
                parents=True, exist_ok=True
            )
    _overlay(f"/{name}", top, name, place)


def _small_etc(etc: Path) -> None:
    etc.mkdir()
    for name, text in _ETC.items():
        (etc / name).write_text(text)
    for name in _SHARED_ETC:
        source, place = Path("/etc", name), etc / name
        place.parent.mkdir(exist_ok=True)
        if source.is_symlink():
            place.symlink_to(os.readlink(source))
        elif source.is_dir():
            place.mkdir()
        elif source.is_file():
            place.touch()


def _overlay(lower: str, top: Path, name: str, place: Path) -> None:
    upper, work = top / "upper" / name, top / "work" / name
    for folder in (upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    places = {"lowerdir": lower, "upperdir": str(upper), "workdir": str(work)}
    data = ",".join(f"{key}={_escaped(value)}" for key, value in places.items())
    sys.mount("overlay", str(place), "overlay", 0, f"{data},userxattr")


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _kernel_folders(config: RootConfig, devices: dict[str, int]) -> None:
    """/proc, /dev and /sys below the current directory."""
    for name in ("proc", "dev", "sys"):
        os.makedirs(name, exist_ok=True)
    strict = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC
    sys.mount("proc", "proc", "proc", strict)
    with contextlib.suppress(OSError):  # The network may be another user namespace's; few look.
        sys.mount("sysfs", "sys", "sysfs", strict | (0 if config.privileged else sys.MS_RDONLY))
    sys.mount("tmpfs", "dev", "tmpfs", sys.MS_NOSUID, "mode=755,size=64k")
    for name, tree in devices.items():
        Path("dev", name).touch()
        sys.move_mount(tree, f"dev/{name}")
        os.close(tree)
    for folder in ("pts", "shm", "mqueue"):
        os.mkdir(f"dev/{folder}")
    terminals = sys.MS_NOSUID | sys.MS_NOEXEC
    sys.mount("devpts", "dev/pts", "devpts", terminals, "newinstance,ptmxmode=0666,mode=0620")
    sys.mount("shm", "dev/shm", "tmpfs", strict, "mode=1777,size=65536k")
    sys.mount("mqueue", "dev/mqueue", "mqueue", strict)
    for name, target in _LINKS.items():
        os.symlink(target, f"dev/{name}")


def _group_trees(groups: dict[str, str]) -> dict[str, int]:
    trees = {}
    for kind, path in groups.items():
        with contextlib.suppress(OSError):  # What cannot be shown is not missed by most.
            trees[kind] = sys.open_tree(path)
            sys.set_read_only(trees[kind])
    return trees


def _show_groups(trees: dict[str, int]) -> None:
    """/sys/fs/cgroup below the current directory, where programs look for their limits."""
    top = Path("sys/fs/cgroup")
    for kind, tree in trees.items():
        with contextlib.suppress(OSError):
            if not kind:
                top.mkdir(parents=True, exist_ok=True)
                sys.move_mount(tree, str(top))
            else:
                if not os.path.ismount(top):
                    top.mkdir(parents=True, exist_ok=True)
                    strict = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC
                    sys.mount("tmpfs", str(top), "tmpfs", strict, "mode=755,size=64k")
                (top / kind).mkdir()
                sys.move_mount(tree, str(top / kind))
        os.close(tree)
    if any(trees):
        with contextlib.suppress(OSError):
            flags = sys.MS_REMOUNT | sys.MS_BIND | sys.MS_RDONLY
            sys.mount("", str(top), "", flags | _flags(str(top)))


def _mask(null: int) -> None:
    for path in _MASKED:
        if os.path.isdir(path):
            sys.mount("tmpfs", path, "tmpfs", sys.MS_RDONLY, "size=0k")
        elif os.path.exists(path):
            sys.mount("/dev/null", path, "", sys.MS_BIND)
    os.close(null)
    for path in _READ_ONLY:
        if os.path.exists(path):
            sys.mount(path, path, "", sys.MS_BIND | sys.MS_REC)
            flags = sys.MS_REMOUNT | sys.MS_BIND | sys.MS_RDONLY
            sys.mount("", path, "", flags | _flags(path))


def _flags(path: str) -> int:
    """The flags a mount has already: an ordinary user may not take them away in a remount."""
    found = os.statvfs(path).f_flag
    pairs = (
        (os.ST_NOSUID, sys.MS_NOSUID),
        (os.ST_NODEV, sys.MS_NODEV),
        (os.ST_NOEXEC, sys.MS_NOEXEC),
    )
    times = ((os.ST_NOATIME, 1024), (os.ST_NODIRATIME, 2048), (os.ST_RELATIME, 1 << 21))
    return sum(flag for bit, flag in (*pairs, *times) if found & bit)
