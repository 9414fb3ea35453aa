"""What happened, as facts with a time: the records, the history that holds them, who writes them, and the store's
behaviour as a sequential model. Imports of the store nothing but its client.
"""
