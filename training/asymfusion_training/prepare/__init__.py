"""Public data sets, as their authors publish them, into the folder format; a look into any such folder."""
