"""The JSON gateway: etcd's API over HTTP/1.1 under /v3/. Text and routes only; what a call means is the handlers'."""
