"""What is served beside resources: discovery, OpenAPI, health, version, metrics."""
