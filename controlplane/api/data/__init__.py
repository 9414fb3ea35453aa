"""Data files of the API: `kinds-1.36.json`, made by `generate.py` from what stands in `input/`."""
