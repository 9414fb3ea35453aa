"""One admission plugin a file, named as upstream names it; `admission/registry.py` lists them."""
