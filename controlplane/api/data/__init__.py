"""Data files of the API: protobuf-1.32.json, field numbers and types of request bodies."""
