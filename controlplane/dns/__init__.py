"""Cluster DNS: names of Services and pods, answered from the API server's objects.

`zone.py` is pure: it holds what the cluster has and answers questions. `server.py` speaks DNS over UDP and TCP
(dnslib), `upstream.py` asks others for names that are not the cluster's, `app.py` feeds the zone by informers.
"""
