"""The node agent (kubelet): runs the pods bound to its node and tells of them and of the node.

plan.py and status.py are pure; worker.py is their shell, one per pod. Knows the API through controlplane.client only
and containers through runtime/interface.py only.
"""
