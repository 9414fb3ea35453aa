"""Clusters for the tests of those who use the store: to be started, broken and judged from a blocking test."""
