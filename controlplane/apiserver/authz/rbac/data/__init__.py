"""Default objects as data, one a line.

rbac.json has the roles and bindings of a fresh Kubernetes 1.36 cluster; own.json those of programs that only this
product has: the balancer of a local cluster, and what a node's proxy needs for network policies and host ports.
"""
