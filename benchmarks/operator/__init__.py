"""How fast and how thrifty the operator is, on a real API server whose pods are played by this process.

Every server, the operator and this process share the machine's cores. Times of requests are the API server's
own, from its audit log; a session counts from the moment before it is sent.
"""
