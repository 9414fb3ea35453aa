"""The flow of each verb, once for all kinds, and per kind a strategy with what differs."""
