"""The gateway: the one way from pods to the store of videos, whose keys it alone has."""
