"""One plugin a file: a pure predicate or score, named as upstream names it.

Only `default_binder` talks to the API. The list of names is framework/registry.py.
"""
