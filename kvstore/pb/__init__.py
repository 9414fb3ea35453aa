"""Messages generated from protos/kvstore/pb by `make protos`, and the pool they live in; nothing else belongs here."""
