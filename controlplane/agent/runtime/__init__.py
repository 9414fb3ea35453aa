"""Where containers live, in the words of CRI: sandboxes, containers, exec, logs. Knows nothing of the API."""
