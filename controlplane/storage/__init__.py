"""Where objects are kept: the `Storage` protocol, the one over the kvstore client, a fake, and the watch cache.

Objects are dicts; a resourceVersion is the store's revision and means nothing outside this folder. Only this folder
uses `kvstore.client`; nothing here knows HTTP, kinds or admission.
"""
