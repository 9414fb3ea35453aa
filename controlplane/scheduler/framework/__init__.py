"""What plugins are written against: extension points, statuses, node and pod views, the runner.

No plugin, no queue and no client in here; a plugin imports from here, never from its siblings.
"""
