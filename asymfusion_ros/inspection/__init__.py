"""What a network is made of: parameters, FLOPs, where features are exchanged, how far its norms have parted.

Everything is found by walking the modules that `build_network` makes, so a new encoder needs no change here.
"""
