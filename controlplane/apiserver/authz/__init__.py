"""Who may do what: a file an authorizer. Knows attributes of requests, never bodies."""
