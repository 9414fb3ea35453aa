"""Gives workloads as many pods as their metrics ask for."""
