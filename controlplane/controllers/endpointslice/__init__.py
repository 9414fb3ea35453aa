"""EndpointSlices: the addresses behind a Service, a hundred a slice."""
