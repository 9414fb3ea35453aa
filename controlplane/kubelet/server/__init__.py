"""The kubelet's HTTPS endpoint."""
