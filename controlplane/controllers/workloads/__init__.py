"""What controllers of Pods share: making and deleting them, finding whose they are, revisions of templates."""
