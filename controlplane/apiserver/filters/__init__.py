"""What every request passes before its handler; `chain.py` has the order, each other file is one filter."""
