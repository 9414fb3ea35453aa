"""Kinds of the group storage.k8s.io: classes of volumes, and what drivers say of themselves."""
