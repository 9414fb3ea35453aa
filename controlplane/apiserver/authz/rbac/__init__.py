"""Role-based access control: rules, who has them, and that nobody grants what they do not have."""
