"""Which requests a webhook or a policy is for: rules, selectors, versions, conditions in CEL.

`rules.py` is pure. `views.py` shows a request in the version that a rule asks for; `constraints.py` puts rules and
selectors together; `conditions.py` evaluates expressions.
"""
