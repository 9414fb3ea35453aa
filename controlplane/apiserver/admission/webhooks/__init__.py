"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: programs of users that change or refuse what is written.

`hooks.py` reads configurations as they are now, `review.py` makes and reads AdmissionReviews (pure), `call.py` calls
one webhook, `mutating.py` and `validating.py` are the plugins.
"""
