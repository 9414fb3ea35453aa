"""`kvstore dump-log` and `kvstore dump-snapshot`: what stands in a member's files, record by record.

Reads files only, of a member that runs or not, whole or damaged, and changes none. Records are decoded without the
types of this version (msgpack, untyped), so that logs of later and earlier ones can be read, too.
"""
