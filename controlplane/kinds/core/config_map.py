"""ConfigMaps: configuration as keys and values."""

from controlplane.api.resource import Resource

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", short_names=("cm",))
