"""How fast this machine is: the engine's stages, the plain network beside them, other work beside both."""
