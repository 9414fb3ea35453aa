"""Messages between kubelet and spawner, with descriptors, short and long."""

import os
import socket
from pathlib import Path

import pytest

from controlplane.kubelet.runtimes.namespaces import wire


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_messages_carry_descriptors(size: int) -> None:
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    with one, two:
        wire.send(one, {"text": "x" * size}, (write,))
        message, [passed] = wire.receive(two)
        assert message == {"text": "x" * size}
        os.write(passed, b"hello")
        assert os.read(read, 10) == b"hello"
        one.close()
        with pytest.raises(wire.Gone):
            wire.receive(two)
    for descriptor in (read, write, passed):
        os.close(descriptor)


def test_sockets_lie_as_deep_as_they_like(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with wire.listen(deep) as listener, wire.connect(deep) as client:
        served, _ = listener.accept()
        with served:
            wire.send(client, {"do": "hello"})
            assert wire.receive(served)[0] == {"do": "hello"}
    with pytest.raises(OSError):
        wire.connect(deep)
    wire.listen(deep).close()
