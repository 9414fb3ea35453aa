"""How the API server reaches kubelets."""
