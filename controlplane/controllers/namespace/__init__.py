"""Namespaces that end are emptied first."""
