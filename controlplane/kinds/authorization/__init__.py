"""Kinds of the group authorization.k8s.io: may somebody do something. None is stored."""
