"""The scheduler: pods without a node get one. Reaches the world only through controlplane.client."""
