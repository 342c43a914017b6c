"""The whole thing: images, chart, node, and what a person does with them."""
