"""GET, PUT and PATCH of a part of an object, most often its status.

They are the object's own verbs; the registry sees by the path what may change (`Kind.parts`, the strategy's status).
"""

from controlplane.apiserver.verbs import get, patch, update

handle_get = get.handle
handle_update = update.handle
handle_patch = patch.handle
