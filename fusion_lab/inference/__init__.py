"""Using a network: loading it, and fusing images of any size, files and folders."""
