"""Namespaces: emptying those that are being deleted. It creates nothing."""
