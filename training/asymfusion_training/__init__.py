"""Training and evaluation: from public data sets, or a folder of your own, to a checkpoint."""

import logging

# Lightning Fabric announces its processes in seven lines, from each of them; its warnings stay. Here, because
# a process that it spawns imports this package before anything else of ours.
logging.getLogger("lightning_fabric.utilities").setLevel(logging.WARNING)
