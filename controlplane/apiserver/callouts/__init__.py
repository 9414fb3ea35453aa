"""Calls of the API server to programs of users: webhooks of admission and of conversion.

`target.py` says where such a program is, `endpoints.py` finds one behind a Service, `reach.py` opens a connection to
it, also into pods whose network this machine is no part of, `client.py` makes the call.
"""
