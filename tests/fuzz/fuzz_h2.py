"""Coverage-guided fuzzing of the HTTP/2 core and of header compression, by hand: `make fuzz SECONDS=60`.

Needs atheris (Linux, Python 3.11 or 3.12), which is no dependency of the suite. The rules that must hold are those of
tests/unit/kvstore/wire/h2/test_h2_fuzz.py; what breaks one is written to a crash-* file, which as an argument
repeats it.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import atheris

with atheris.instrument_imports(include=["kvstore.wire.h2"]):
    from kvstore.wire.h2 import frames
    from kvstore.wire.h2.hpack import Decoder, HeadersTooLarge, HpackError

WIRE_TESTS = Path(__file__).parents[1] / "unit" / "kvstore" / "wire" / "h2"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"wire_{name}", WIRE_TESTS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{WIRE_TESTS / name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


with atheris.instrument_imports(include=["kvstore.wire.h2"]):
    PEER = _load("conftest").Peer
    RULES = _load("test_h2_fuzz")
OWN_ACTIONS = ("answer", "send", "fan", "credit", "reset", "socket")


def one_input(data: bytes) -> None:
    """Play what `data` says against a fresh connection, and check the rules after every step."""
    source = atheris.FuzzedDataProvider(data)
    peer = PEER(limits=RULES.SMALL)
    if source.ConsumeBool():
        peer.start()
    while source.remaining_bytes():
        match source.ConsumeIntInRange(0, 7):
            case 0:
                peer.connection.receive(source.ConsumeBytes(source.ConsumeIntInRange(0, 200)))
            case 1:
                action = source.PickValueInList(list(OWN_ACTIONS))
                RULES.act(peer, (action, source.ConsumeIntInRange(0, 30_000)))
            case 2:
                _decode(source.ConsumeBytes(source.ConsumeIntInRange(0, 100)))
            case 3:
                RULES.act(peer, (1, 5, source.ConsumeIntInRange(0, 12), RULES.GOOD))
            case _:
                kind, flags = source.ConsumeIntInRange(0, 11), source.ConsumeIntInRange(0, 255)
                stream = source.ConsumeIntInRange(0, 12)
                payload = source.ConsumeBytes(source.ConsumeIntInRange(0, 64))
                peer.connection.receive(frames.pack_frame(kind, flags, stream, payload))
        RULES.check(peer)
        peer.taken()


def _decode(block: bytes) -> None:
    decoder = Decoder(lambda headers: headers, max_list_bytes=2000)
    for _ in range(2):
        try:
            decoder.decode(block)
        except (HpackError, HeadersTooLarge):
            return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
