"""Leases and the keys that hang on them. No clock: when a lease ends is decided outside and arrives as a command.

Pure and synchronous; imports only the standard library.
"""
