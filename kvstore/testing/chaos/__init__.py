"""Faults and checked traffic on real processes: schedules as data, traffic from a seed, the run and its targets."""
