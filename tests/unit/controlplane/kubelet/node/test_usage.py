"""What a machine uses."""

from pathlib import Path

from controlplane.kubelet.node.usage import read_node_usage


def test_the_kernels_counters(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 5000 400 5 6 7 0 0\ncpu0 1\nbtime 1700000000\n")
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemAvailable:   400 kB\nHugePages: 0\n")
    usage = read_node_usage(str(tmp_path), tmp_path)
    assert usage.cpu_seconds == 1.68, "neither idle nor waiting for a disk is use"
    assert (usage.memory_total, usage.working_set) == (1000 * 1024, 600 * 1024)
    assert usage.started_at == 1_700_000_000
    assert 0 < usage.disk_available <= usage.disk_total


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    usage = read_node_usage(str(tmp_path), tmp_path / "none")
    assert (usage.cpu_seconds, usage.memory_total, usage.working_set) == (0.0, 0, 0)
