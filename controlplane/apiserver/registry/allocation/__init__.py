"""What objects take of ranges that many share: addresses, node ports."""
