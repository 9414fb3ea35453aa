"""The certificate authority of the API server, in every namespace."""
