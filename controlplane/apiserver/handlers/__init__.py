"""One file a verb (or a document): from a parsed request to a response; no HTTP library in here."""
