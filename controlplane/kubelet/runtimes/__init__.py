"""What runs containers, behind one interface in the words of CRI."""
