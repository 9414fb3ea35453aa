"""What a container is given: environment, command, files."""
