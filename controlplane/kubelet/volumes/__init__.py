"""Volumes of pods: one file a type in plugins/, chosen by registry.py, kept by manager.py. Start in interface.py."""
