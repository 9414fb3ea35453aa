"""Values encrypted at rest: between the store and everything above it, by the providers of an EncryptionConfiguration.

The bytes are those of the original, so that its API server reads what this one has written, and the other way round.

Source: apiserver/pkg/storage/value and apiserver/pkg/server/options/encryptionconfig.
"""
