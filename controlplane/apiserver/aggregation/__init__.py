"""Aggregation: groups and versions of the API that another server answers, as APIServices with a Service say.

`directory.py` knows them, `calls.py` reaches their servers, `documents.py` keeps what those say of themselves for
discovery and OpenAPI; `availability.py` and `registration.py` keep the APIServices true.
"""
