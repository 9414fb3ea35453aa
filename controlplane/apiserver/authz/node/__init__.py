"""What node agents may do: read what the pods on their node refer to, and nothing of others."""
