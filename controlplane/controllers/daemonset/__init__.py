"""DaemonSets: a Pod on every node that fits."""
