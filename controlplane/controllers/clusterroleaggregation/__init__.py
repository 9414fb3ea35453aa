"""Roles that are made of others: `admin`, `edit`, `view`, and those of custom resources."""
