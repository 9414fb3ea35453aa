"""Signs approved requests for certificates of the four signers of Kubernetes."""
