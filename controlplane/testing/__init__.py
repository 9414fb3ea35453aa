"""The control plane in one process, for tests: whatever stands here may import every program; nothing imports it."""
