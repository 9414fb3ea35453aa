"""The Kubernetes API over HTTPS: handlers -> admission -> registry and strategy -> storage.

What never belongs here: anything that reconciles, and any use of the store's client but through `storage`.
"""
