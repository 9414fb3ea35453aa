"""GET, PUT and PATCH of a status: the object's own verbs, which see by the path that only the status is meant."""

from controlplane.apiserver.verbs import get, patch, update

handle_get = get.handle
handle_update = update.handle
handle_patch = patch.handle
