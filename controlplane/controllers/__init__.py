"""The controllers: each a folder with a pure plan and a reconciler that reads caches, plans and acts.

They share `controlplane.runtime` and, at most, each other's pure plans. May import runtime, client and api; never
storage or another controller's reconciler.
"""
