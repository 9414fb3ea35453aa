"""Over TLS: the client port speaks HTTP/1.1 too, and a certificate's name is no login there once users are on."""

import datetime
import http.client
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvstore.base.ports import free_port
from kvstore.local.certificates import CertificateAuthority

WAIT_SECONDS = 60
IGNORED = "CommonName of client sending a request against gateway will be ignored and not used as expected\n"


@pytest.fixture
def secure(tmp_path: Path):
    """A member that wants client certificates; a caller of it: (path, body, token) -> (status, text)."""
    authority = CertificateAuthority(tmp_path / "ca", datetime.datetime.now(datetime.UTC))
    server = authority.identity("server", "server", hosts=["127.0.0.1"], server=True)
    client = authority.identity("root", "root")
    port, peer = free_port(), f"http://127.0.0.1:{free_port()}"
    url = f"https://127.0.0.1:{port}"
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "kvstore", "--name=m", f"--data-dir={tmp_path / 'd'}",
                f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=m={peer}", "--bcrypt-cost=4", "--client-cert-auth",
                f"--cert-file={server.cert_file}", f"--key-file={server.key_file}",
                f"--trusted-ca-file={server.ca_file}",
            ],
            stdout=out,
            stderr=out,
        )  # fmt: skip
    context = ssl.create_default_context(cafile=str(client.ca_file))
    context.load_cert_chain(client.cert_file, client.key_file)

    def call(path: str, body: object = None, token: str = "") -> tuple[int, str]:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        try:
            headers = {"Authorization": token} if token else {}
            if body is None:
                connection.request("GET", path, headers=headers)
            else:
                connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                if call("/readyz")[0] == 200:
                    break
            except OSError:
                time.sleep(0.05)
        yield call
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_certificate_is_no_login_at_the_gateway(secure) -> None:
    assert secure("/v3/kv/put", {"key": "YQ=="})[0] == 200
    for path, body in (
        ("/v3/auth/user/add", {"name": "root", "password": "r"}),
        ("/v3/auth/user/grant", {"user": "root", "role": "root"}),
        ("/v3/auth/enable", {}),
    ):
        status, text = secure(path, body)
        assert status == 200, text
    # The certificate's name is root's. It opens nothing, with or without another login.
    assert secure("/v3/kv/put", {"key": "YQ=="}) == (400, IGNORED)
    assert secure("/v3/auth/disable", {}) == (400, IGNORED)
    assert secure("/v3/auth/authenticate", {"name": "root", "password": "r"}) == (400, IGNORED)
    assert secure("/v3/kv/put", {"key": "YQ=="}, "token") == (400, IGNORED)
    assert secure("/health") == (400, IGNORED)
