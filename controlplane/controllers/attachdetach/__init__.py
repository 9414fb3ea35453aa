"""Attaches volumes of CSI drivers to the nodes of their pods, and detaches them."""
