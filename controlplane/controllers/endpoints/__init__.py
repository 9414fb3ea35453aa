"""Endpoints: the addresses behind a Service in one object, for clients that know no EndpointSlices."""
