"""What happens to an object between decoding and the registry: defaults, then rules that may refuse."""
