"""Schemas of custom resources, and what they do to values: prune, default, validate, run CEL rules. Pure.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/{schema,validation} and k8s.io/kube-openapi/pkg/validation.
`node.py` has the schema as a tree of nodes; each other file is one thing done by walking a value along it.
"""
