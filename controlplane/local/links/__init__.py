"""Faults of the links between nodes: a plan of them (pure), the desk that keeps it, the relay that carries it out."""
