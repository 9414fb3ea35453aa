"""Pods: row, defaults, rules, columns, strategy and the views that other code asks."""
