"""Watches: what each client has still to be told of the history, and how many clients are told at once.

`cursor` is one watch, `stream` the watches of one client, `groups` those of all clients that can be told together,
`index` which of them a key touches, and `hub` puts them together. Sends no bytes: that is the server's work.
"""
