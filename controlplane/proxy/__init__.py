"""Service addresses on a node: traffic to them goes to the Service's endpoints.

`endpoints.py`, `rules.py` and `diff.py` are pure: objects in, an nftables table out, and the commands that lead from
one table to the next. `nft.py` hands commands to the program `nft`; `app.py` follows Services and EndpointSlices. The
proxy runs in the network namespace of its node and touches nothing but its own tables there.
"""
