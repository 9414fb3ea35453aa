"""Containers as child processes: no isolation, runs everywhere."""
