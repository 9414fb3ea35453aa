"""The account each namespace has."""
