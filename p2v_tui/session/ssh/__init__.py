"""OpenSSH: the login, host keys, identities, the shell on the server, what ssh's errors mean, reconnection."""
