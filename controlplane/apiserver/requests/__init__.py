"""What handlers read of a request and make of an answer."""
