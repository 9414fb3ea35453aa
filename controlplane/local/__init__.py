"""A whole cluster on this machine: cluster.toml, the processes of masters and nodes, kubeconfigs, the TCP front.

On top of `kvstore.local`. The programs themselves are started as processes and never imported from here.
"""
