"""Calls of the API server to programs of users: webhooks of admission and of conversion.

`target.py` says where such a program is, `endpoints.py` finds one behind a Service, `client.py` makes the call.
"""
