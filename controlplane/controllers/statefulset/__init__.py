"""StatefulSets: Pods with names, storage and an order of their own."""
