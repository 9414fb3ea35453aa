"""Servers behind this one - pods, nodes, other API servers: how they are reached, what is passed on to them and back.

What is asked for and who may ask it is decided above. Nothing here knows kinds beyond a pod's and a node's address.
"""
