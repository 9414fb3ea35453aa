"""The HTTP edge: requests and answers as values, and the one file that knows the HTTP library."""
