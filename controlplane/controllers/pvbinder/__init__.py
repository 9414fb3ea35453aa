"""Binds claims to volumes, has missing volumes made, and takes back those whose claims are gone."""
