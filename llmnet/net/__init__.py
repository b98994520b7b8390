"""Names, addresses, proxies, sockets and TLS for both fronts; no HTTP library is used in here."""
