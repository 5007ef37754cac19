"""What tests share: real databases, a real server on a free port, credentials, rows."""
