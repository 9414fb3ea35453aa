"""Documents and encodings of the API: discovery, OpenAPI, protobuf. Functions of a Scheme."""
