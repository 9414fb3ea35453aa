"""Default objects as data: rbac.json has the roles and bindings of a fresh Kubernetes 1.36 cluster, one a line."""
