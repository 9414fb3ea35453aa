"""Rows of the scheme, a file per family of API groups. Rows only: no logic belongs here."""
