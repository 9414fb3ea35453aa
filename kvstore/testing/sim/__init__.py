"""Whole clusters from a seed, in one thread and on virtual time, with every fault that a disk, a clock, a network or a
kernel has. Runs the product's own code; only `run`, `search`, `many` and the command know mutants and checkers.
"""
