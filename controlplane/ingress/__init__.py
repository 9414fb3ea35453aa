"""HTTP from outside to Services, by host and path: the controller behind the IngressClass `quorate`.

`routes.py` is pure: Ingresses in, a table out that finds the backend of a request. `certificates.py` turns Secrets into
TLS by the name a client asks for. `server.py` is the only file that knows HTTP; `app.py` follows objects, swaps table
and certificates at once, and writes addresses into statuses.
"""
