"""The etcd release whose behaviour is followed; clients choose features by it."""

VERSION = "3.5.21"
CLUSTER_VERSION = "3.5.0"
"""What a cluster of such members agrees on: major and minor."""
