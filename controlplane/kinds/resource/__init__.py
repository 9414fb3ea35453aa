"""Kinds of the group resource.k8s.io: devices, and who gets them."""
