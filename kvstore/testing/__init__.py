"""What proves the store, and what its users prove their own programs with.

Belongs here: the history of what clients saw, the sequential model and the checkers of `check/`, the simulation, the
nemesis and traffic for real processes, the report page, and the pytest plugin. May import all of kvstore, nothing of
controlplane or cli; nothing else in kvstore imports it.
"""
