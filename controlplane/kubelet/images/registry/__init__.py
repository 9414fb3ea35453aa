"""Images from registries: who asks (auth.py), how (client.py), and what of it lands in the node's store (puller.py)."""
