"""ResourceSlices: a part of what a driver offers."""
