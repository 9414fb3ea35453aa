"""Containers in namespaces of the kernel, without root or an engine: a spawner process a node holds them all.

`runtime.py` is the kubelet's side, `spawner.py` the process that outlives it. What the spawner imports - all here but
runtime, connection and trial - needs nothing but the standard library, since it runs without site packages.
"""
