"""Names, addresses, proxies, sockets and TLS for both fronts; without an HTTP library."""
