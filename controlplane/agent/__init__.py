"""The former name of `controlplane.kubelet`; `python -m controlplane.agent` stays for one release."""
