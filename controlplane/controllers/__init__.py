"""The controllers: each a folder with a pure plan and a reconciler that reads caches, plans and acts.

They share nothing but `controlplane.runtime`. May import runtime, client and api; never storage or each other.
"""
