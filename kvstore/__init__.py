"""The etcd-compatible store: one package for a member, its clients, and running members on one machine."""
