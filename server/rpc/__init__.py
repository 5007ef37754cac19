"""The gRPC edge: proto to arguments, use case, proto.

What always holds here: every call of our services passes the one pipeline of `server.rpc.interceptors`; a handler only
ever sees a verified caller with the right role and a request that obeys its rules; what goes back in case of failure is
an `AnalyticsError` and nothing internal.
"""
