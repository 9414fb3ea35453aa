"""Owner references: what must go, or be set free, when its owner goes."""
