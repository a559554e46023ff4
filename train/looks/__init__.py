"""How filled pictures look: features of a pretrained network, and what can be told from them."""
