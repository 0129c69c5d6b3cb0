"""What runs inside a sandbox. Python 3.8 and the standard library only: it is copied into the image as it is."""
