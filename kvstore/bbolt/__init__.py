"""The file format of bbolt, in which etcd keeps its data and hands out snapshots: written in one pass, and read.

Belongs here: pages, elements and metas, and nothing about what etcd puts into its buckets.
"""
