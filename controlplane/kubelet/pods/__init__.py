"""The life of a pod on its node: plan (pure), worker, status."""
