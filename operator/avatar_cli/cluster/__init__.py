"""Sessions of a cluster, as the person at the terminal may see them."""
