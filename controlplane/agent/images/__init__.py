"""Images: names of commands this node can run. No registry is ever asked."""
