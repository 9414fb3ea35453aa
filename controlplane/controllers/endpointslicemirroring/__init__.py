"""EndpointSlices for Endpoints that people write by hand."""
