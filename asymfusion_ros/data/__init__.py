"""What training and running share: the network's input, the folder format, label sets, metrics."""
