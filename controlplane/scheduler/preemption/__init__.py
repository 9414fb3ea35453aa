"""Making room for a pod of higher priority. `candidates.py` decides and is pure; the plugin DefaultPreemption acts."""
