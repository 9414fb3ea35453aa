"""Service account tokens: keys, what is in a token, issuing and verifying."""
