"""Who asks: a file a way to show it. Knows requests, not what may be done with them."""
