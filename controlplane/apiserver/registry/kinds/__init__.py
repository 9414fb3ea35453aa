"""Strategies of kinds that have rules of their own, a file a kind."""
