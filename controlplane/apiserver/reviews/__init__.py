"""Kinds that are answered and not stored: reviews of tokens, of the caller, and of what somebody may do."""
