"""`python -m controlplane.agent`: the kubelet by its former name, for one release."""

import sys

from controlplane.kubelet.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
