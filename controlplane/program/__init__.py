"""What the entry of every program has: start, stop, leadership, health."""
