"""Deployments: rollouts of ReplicaSets by template. Nothing about Pods but whether old ones still run."""
