"""Classes of volume attributes that end only when no claim and no volume names them."""
