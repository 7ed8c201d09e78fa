"""Reading a phrase: which findings it names, where, and whether it affirms them."""
