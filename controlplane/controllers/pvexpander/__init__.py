"""Lets volumes grow with their claims."""
