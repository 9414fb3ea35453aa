"""Members in the test's own process write their log lines to files, and leave standard output to the test."""

import pytest
import structlog

from kvstore.testing.harness.cluster import Cluster

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _unconfigured():
    """As in a program that never heard of structlog."""
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    yield
    structlog.reset_defaults()


def test_lines_go_to_a_file_each(tmp_path, capsys):
    with Cluster(tmp_path, mode="inprocess", members=3) as cluster:
        with cluster.client() as client:
            client.put("a", "1")
        structlog.get_logger("mine").warning("said by the test")
        logs = cluster.logs()
        assert sorted(logs) == sorted(cluster.members)
        for text in logs.values():
            assert "ready to serve client requests" in text
            assert "said by the test" not in text
        assert len({text.split("name=")[1].split()[0] for text in logs.values()}) == 3
        cluster.restart(cluster.members[0])
        again = cluster.logs(10_000)[cluster.members[0]]
        assert again.count("ready to serve client requests") == 2
    out = capsys.readouterr().out
    assert "said by the test" in out
    assert "ready to serve" not in out
    assert not structlog.is_configured()


def test_a_caller_that_configured_its_logs_keeps_them(tmp_path):
    lines = []

    class Own:
        def msg(self, message):
            lines.append(message)

        info = warning = error = debug = critical = msg

    structlog.configure(logger_factory=lambda *_: Own())
    with Cluster(tmp_path, mode="inprocess", members=1):
        pass
    assert any("ready to serve" in one for one in lines)
