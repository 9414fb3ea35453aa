"""Kinds of the group authentication.k8s.io: who asks. None is stored."""
