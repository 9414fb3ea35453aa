"""PySyncObj held safely: its class drives elections, commits and log matching; guards, overrides, transport
and journal here take away what it gets wrong. Nothing outside this folder may import pysyncobj.
"""
