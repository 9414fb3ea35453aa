"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy: rules in CEL, bound to requests and parameters by bindings.

`bound.py` joins policies and bindings as they are now, `invocations.py` finds those that are for a request, with their
parameters, `values.py` evaluates variables, `dispatcher.py` has what the plugins share: `validating.py` and
`mutating.py`.
"""
