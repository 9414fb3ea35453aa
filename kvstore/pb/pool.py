"""The descriptor pool of our messages: apart from the process's own, where other etcd libraries keep theirs."""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
