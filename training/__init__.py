"""How embedded weights are made; nothing here is needed at run time."""
