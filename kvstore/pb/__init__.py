"""Messages and stubs generated from protos/kvstore/pb by `make protos`; nothing written by hand belongs here."""
