"""Claims that end only when no pod uses them."""
