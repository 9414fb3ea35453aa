"""The controllers: each a folder with a pure plan and a reconciler that reads caches, plans and acts.

They share `framework` and, at most, each other's pure plans. May import program, client and api; never
storage or another controller's reconciler.
"""
