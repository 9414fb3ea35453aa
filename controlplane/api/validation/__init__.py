"""Words and rules of validation that every kind uses: causes, metadata, label selectors."""
