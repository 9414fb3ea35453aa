"""Running the store's processes on this machine: child processes, their supervision, ports and certificates.

Knows nothing of Kubernetes; `controlplane.local` adds the rest of a master and the nodes. May import all of kvstore.
"""
