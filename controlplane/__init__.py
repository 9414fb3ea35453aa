"""The Kubernetes-compatible control plane: API server, controllers, scheduler, node agents, and their local cluster."""
