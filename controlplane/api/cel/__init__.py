"""The Common Expression Language as Kubernetes speaks it: compile, check, evaluate. Pure.

`environment.py` is the one file that knows the CEL library: cel-expr-python, the C++ implementation. Of the three that
PyPI has it is the only one that checks types and words errors as upstream does, and it takes 30 µs a rule. The other
files are the functions that Kubernetes adds (`k8s.io/apiserver/pkg/cel/library`). Values of Kubernetes' own types
(quantities, addresses, versions, URLs) are maps with one tagged key: the library passes no foreign objects through.
"""
