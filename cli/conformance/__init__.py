"""`quorate conformance`: upstream's conformance tests against a cluster, and a ledger of what passes.

The test program (`e2e.test` of Kubernetes) is the user's; nothing of it is here. `suite.py` and `ledger.py` are pure.
"""
