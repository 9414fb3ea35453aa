"""Tables for `kubectl get`: columns, rows, and cells that many kinds share."""
