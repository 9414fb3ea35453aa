"""Images as others make them: OCI layouts and Docker's archives, read and unpacked. No network."""
