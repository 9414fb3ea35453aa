"""The machine's side of Services: node ports and the addresses of balancers, on loopback, led to the pods.

What a cloud's load balancer is for a cluster there. `plan.py` is pure: which Service gets which address. `app.py`
follows Services, listens, and carries what comes into the networks of the nodes.
"""
