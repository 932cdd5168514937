"""The Triton side of each kernel: device code and its launch; importing a module here imports triton."""
