"""Pods that do not tolerate a NoExecute taint are deleted in time."""
