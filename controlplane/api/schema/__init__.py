"""Field schemas and what is read by them: types, unknown fields, merge keys."""
