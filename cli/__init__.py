"""`quorate`, the operator's tool: commands only, no logic. May import everything but the programs' insides."""
