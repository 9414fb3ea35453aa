"""PersistentVolumes: storage that outlives pods, by what it is made of."""
