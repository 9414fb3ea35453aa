"""Finished Jobs are deleted after their time to live."""
