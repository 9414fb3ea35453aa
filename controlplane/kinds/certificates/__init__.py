"""Kinds of the group certificates.k8s.io: how certificates are asked for."""
