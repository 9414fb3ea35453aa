"""What stands around a member's start: its directory's word, certificates of its own, log lines, readiness."""

import datetime
import errno
import io
import json
import socket
import ssl
import sys
from pathlib import Path

import pytest
import structlog
from msgspec.structs import replace

from kvstore import self_signed
from kvstore.base import zap_log
from kvstore.base.notify import notify
from kvstore.base.tls_options import (
    GO_SUITES,
    apply_options,
    carries_name,
    common_name,
    openssl_suites,
)
from kvstore.bootstrap import StartError, prepare_directories, record, settle
from kvstore.config.reader import MemberConfig, load
from kvstore.identity import FILE_NAME
from kvstore.identity import load as load_identity
from kvstore.program import reason_of


def config(folder: Path, name: str = "a", port: int = 1, *more: str) -> MemberConfig:
    url = f"http://127.0.0.1:{port}"
    flags = [f"--name={name}", f"--data-dir={folder}", f"--initial-advertise-peer-urls={url}"]
    return load([*flags, f"--initial-cluster={name}={url},z=http://127.0.0.1:9", *more], {})


def test_a_used_directory_wins_over_the_flags(tmp_path):
    first = config(tmp_path)
    record(first)
    # Other URLs, same name: as after `member update`.
    again = settle(config(tmp_path, "a", 2))
    assert (again.member_id, again.cluster_id) == (first.member_id, first.cluster_id)
    assert again.peer_urls == first.peer_urls
    assert set(again.peer_addresses.values()) == {("127.0.0.1", 1), ("127.0.0.1", 9)}
    # Another name, but one of the same members.
    assert settle(config(tmp_path, "b", 1)).member_id == first.member_id
    stranger = replace(
        config(tmp_path, "c", 5), peer_urls={load_identity(tmp_path).member_id: ("x",)}, member_id=5
    )  # type: ignore[union-attr,arg-type]
    with pytest.raises(StartError, match="belongs to member 'a'"):
        settle(stranger)


@pytest.mark.parametrize(
    ("name", "port", "is_refused"),
    [
        pytest.param("z", 9, True, id="swapped_with_the_other_member"),
        pytest.param("z", 7, False, id="renamed_to_the_others_name_elsewhere"),
        pytest.param("a", 9, False, id="moved_to_the_others_address"),
    ],
)
def test_the_folder_of_another_member_of_the_cluster_is_refused(tmp_path, name, port, is_refused):
    record(config(tmp_path))
    url = f"http://127.0.0.1:{port}"
    other = f"z={url},a=http://127.0.0.1:1" if name == "z" else f"a={url},z=http://127.0.0.1:2"
    flags = [f"--name={name}", f"--data-dir={tmp_path}", f"--initial-advertise-peer-urls={url}"]
    swapped = load([*flags, f"--initial-cluster={other}"], {})
    if is_refused:
        with pytest.raises(StartError, match=r"member 'a' .* member 'z' .* were swapped"):
            settle(swapped)
    else:
        assert settle(swapped).name == name


def test_foreign_files_are_told(tmp_path, capsys):
    data = tmp_path / "d"
    data.mkdir(mode=0o700)
    own = config(data)
    record(own)
    for name in ("lock", "log", "snapshots", "fixtures", "lost+found", "member.json.new"):
        (data / name).touch()
    prepare_directories(own)
    assert "none of this store's" not in capsys.readouterr().out
    (data / "member").mkdir()
    (data / "notes.txt").touch()
    prepare_directories(own)
    assert "none of this store's" in (said := capsys.readouterr().out)
    assert "member" in said
    assert "notes.txt" in said


def test_a_damaged_word_is_refused(tmp_path):
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(StartError, match="cannot be read"):
        settle(config(tmp_path))


def test_force_new_cluster_leaves_this_member_alone(tmp_path):
    first = config(tmp_path)
    record(first)
    alone = settle(config(tmp_path, "a", 1, "--force-new-cluster"))
    assert set(alone.peer_urls) == {first.member_id}
    record(alone)
    assert set(settle(config(tmp_path)).peer_urls) == {first.member_id}


def test_the_log_stays_where_it_was_put(tmp_path):
    data, wal = tmp_path / "d", tmp_path / "w"
    data.mkdir(mode=0o700)
    there = config(data, "a", 1, f"--wal-dir={wal}")
    prepare_directories(there)
    prepare_directories(there)
    assert (data / "log").resolve() == wal
    with pytest.raises(StartError, match="the log of this member is in"):
        prepare_directories(config(data, "a", 1, f"--wal-dir={tmp_path}/other"))
    (wal / "0.log").touch()
    other = tmp_path / "e"
    other.mkdir(mode=0o700)
    with pytest.raises(StartError, match="log of another member"):
        prepare_directories(config(other, "a", 1, f"--wal-dir={wal}"))


def test_own_certificates_are_made_once_and_again_when_they_do_not_fit(tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    hosts = ["localhost", "127.0.0.1"]
    self_signed.ensure(tmp_path, hosts, 1, now)
    first = (tmp_path / "cert.pem").read_bytes()
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    self_signed.ensure(tmp_path, hosts, 1, now)
    assert (tmp_path / "cert.pem").read_bytes() == first
    self_signed.ensure(tmp_path, [*hosts, "10.0.0.1"], 1, now)
    second = (tmp_path / "cert.pem").read_bytes()
    assert second != first
    self_signed.ensure(tmp_path, hosts, 2, now + datetime.timedelta(days=360))
    assert (tmp_path / "cert.pem").read_bytes() != second
    ssl.create_default_context().load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_tls_options():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    suites = openssl_suites(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"])
    assert suites == ("ECDHE-RSA-AES128-GCM-SHA256",)
    apply_options(context, cipher_suites=suites, min_version="TLS1.2", max_version="TLS1.2")
    assert context.maximum_version == ssl.TLSVersion.TLSv1_2
    names = {one["name"] for one in context.get_ciphers() if one["protocol"] == "TLSv1.2"}
    assert names == set(suites)
    for one in set(GO_SUITES.values()):
        context.set_ciphers(one)
    certificate = {
        "subject": ((("organizationName", "o"),), (("commonName", "m1"),)),
        "subjectAltName": (("DNS", "a.example"), ("DNS", "*.b.example"), ("IP Address", "::1")),
    }
    assert common_name(certificate) == "m1"
    assert common_name(None) == ""
    for name, fits in {
        "A.example": True,
        "x.b.example": True,
        "b.example": False,
        "x.y.b.example": False,
        "0:0:0:0:0:0:0:1": True,
        "c": False,
    }.items():
        assert carries_name(certificate, name) is fits, name


@pytest.fixture
def restored_logging():
    before = structlog.get_config()
    # Whatever a test before bound would be on every line.
    structlog.contextvars.clear_contextvars()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("restored_logging")
def test_log_lines_are_zaps(monkeypatch, tmp_path):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    outputs = zap_log.configure(level="warn", outputs=["stderr", str(tmp_path / "f"), "stderr"])
    log = structlog.get_logger(component="kvstore.x")
    log.info("not this")
    log.warning("went wrong", member_id="1f", error="e", path=tmp_path)
    outputs.close()
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert list(found) == ["level", "ts", "caller", "msg", "member-id", "error", "path"]
    assert (found["level"], found["caller"], found["msg"]) == ("warn", "kvstore.x", "went wrong")
    datetime.datetime.strptime(found["ts"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert (tmp_path / "f").read_text() == stream.getvalue()


@pytest.mark.usefixtures("restored_logging")
def test_console_lines_have_columns(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    zap_log.configure(form="console", outputs=["stdout"])
    structlog.get_logger(component="c").error("m", a=1)
    assert stream.getvalue().rstrip("\n").split("\t")[1:] == ["error", "c", "m", '{"a": 1}']


def test_readiness_goes_to_who_asked_for_it(tmp_path):
    assert not notify("READY=1", {})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "s"))
        assert notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "s")})
        assert listening.recv(64) == b"READY=1"
    with pytest.raises(OSError, match="refused"):
        notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "s")})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot write in /d: No space left on device",
            id="written_to_a_descriptor",
        ),
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device", "/d/lock"),
            "[Errno 28] No space left on device: '/d/lock'",
            id="named",
        ),
        pytest.param(OSError(errno.EADDRINUSE, "in use"), "[Errno 98] in use", id="no_disk"),
        pytest.param(StartError("so"), "so", id="ours"),
    ],
)
def test_a_failed_start_says_where(error, expected):
    assert reason_of(error, Path("/d")) == expected
