"""What each namespace is given: a default ServiceAccount, and the cluster's CA certificate."""
