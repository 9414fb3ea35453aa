"""Primitives every part stands on: clock, tasks, logs, settings, ports. Imports nothing of the project."""
