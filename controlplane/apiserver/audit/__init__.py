"""The audit log: who did what, when, and what came of it, as the operator's policy wants it.

A request is judged by the policy (`policy.py`), becomes events by stages (`event.py`), which go to sinks: a file that
is rotated (`log_file.py`), a webhook in batches (`webhook.py`, `batching.py`).

Source: the API of audit.k8s.io/v1 and apiserver/pkg/audit.
"""
